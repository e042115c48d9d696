import io
import json
import os
import signal
import socket
import tarfile
from contextlib import contextmanager

import pyarrow
import pytest
from planted_faults import BAD, GOOD, grey_png, write_planted
from pyarrow import parquet

from kinema.datasets.check import TokenBudget, check_records
from kinema.datasets.check.processes import verdicts
from kinema.datasets.check.row import RowCheck, Verdict
from kinema.datasets.fault import Fault
from kinema.datasets.own import OwnRecords
from kinema.errors import ConfigError
from kinema.models.videollama3.processor import VideoLLaMA3Processor
from kinema.processors.tokenizer import TextTokenizer
from kinema.recipes.nano_tokenizer import nano_tokenizer


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return write_planted(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def budget():
    processor = VideoLLaMA3Processor(TextTokenizer(nano_tokenizer(num_samples=20)))
    return TokenBudget(processor=processor, max_tokens=1000)


def test_every_planted_fault_is_found_and_no_other(planted, budget):
    file, wrong = planted
    seen = []
    report = check_records(
        OwnRecords(files=(file,)),
        budget=budget,
        jobs=2,
        num_examples=9,
        progress=lambda done, total: seen.append((done, total)),
    )
    found = {fault: [example.row for example in report.examples[fault]] for fault in report.examples}
    assert found == wrong
    assert report.counts == {fault: len(rows) for fault, rows in BAD.items()}
    assert report.good.tolist() == list(range(len(GOOD)))
    assert report.num_bad == sum(map(len, BAD.values()))
    assert seen == [(done, report.num_rows) for done in range(1, report.num_rows + 1)]


def test_complaints_say_what_is_wrong_and_as_many_as_are_wanted(planted):
    file, wrong = planted
    report = check_records(OwnRecords(files=(file,)), num_examples=1)
    (example,) = report.examples[Fault.OUTSIDE]
    assert example.row == wrong[Fault.OUTSIDE][0]
    assert "clip.mp4: 4 to 9 s is asked for, but it ends at" in example.complaint
    assert report.counts[Fault.OUTSIDE] == len(BAD[Fault.OUTSIDE])


def test_without_a_model_no_sample_is_too_long_or_refused(planted):
    file, wrong = planted
    report = check_records(OwnRecords(files=(file,)))
    assert {*wrong[Fault.TOO_LONG], *wrong[Fault.REFUSED]} < set(report.good.tolist())


def test_what_is_left_of_a_file_is_good(planted):
    file, _ = planted
    data = OwnRecords(files=(file,))
    data.write(check_records(data, jobs=2).good, file.parent / "clean.jsonl")
    assert check_records(OwnRecords(files=(file.parent / "clean.jsonl",))).num_bad == 0


@contextmanager
def server_that_never_answers():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/film.mp4"


def test_a_file_that_hangs_costs_its_time_and_no_more(tmp_path):
    with server_that_never_answers() as url:
        rows = [{"video": url, "caption": "A ball."}, {"conversations": GOOD[4]["conversations"]}]
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        report = check_records(OwnRecords(files=(tmp_path / "a.jsonl",)), timeout_s=0.5)
    assert report.counts == {Fault.TIMED_OUT: 1}
    assert report.examples[Fault.TIMED_OUT] == ((0, "not read in 0.5 s."),)
    assert report.good.tolist() == [1]


def test_media_inside_tables_and_archives_are_looked_at(tmp_path):
    (tmp_path / "grey.png").write_bytes(grey := grey_png())
    rows = [{"image": grey, "text": "Grey."}, {"image": grey[:60], "text": "Half."}] * 2
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=1)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number, row in enumerate(rows):
            for ending, content in (("png", row["image"]), ("txt", row["text"].encode())):
                entry = tarfile.TarInfo(f"{number}.{ending}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    for name in ("a.parquet", "a.tar"):
        report = check_records(OwnRecords(files=(tmp_path / name,)), jobs=2)
        assert report.counts == {Fault.UNREADABLE: 2, Fault.DUPLICATE: 1}
        assert report.good.tolist() == [0]


def dies_at_rows_of_seven(row):
    if row % 7 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return Verdict(row, None)


def test_a_row_that_ends_its_process_is_passed_over():
    found = list(verdicts(dies_at_rows_of_seven, 100, jobs=3, timeout_s=20))
    assert sorted(verdict.row for verdict in found) == list(range(100))
    dead = sorted(verdict.row for verdict in found if verdict.trouble is not None)
    assert dead == list(range(0, 100, 7))


def test_the_first_of_rows_that_are_the_same_is_good(tmp_path):
    rows = [{"conversations": [{"from": "gpt", "value": word}]} for word in "abacab"]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    report = check_records(OwnRecords(files=(tmp_path / "a.json",)), num_examples=9)
    assert report.good.tolist() == [0, 1, 3]
    assert report.examples[Fault.DUPLICATE][0].complaint == "the same media and words as row 0."


def test_rows_that_differ_in_blanks_alone_are_the_same(tmp_path):
    rows = [{"conversations": [{"from": "gpt", "value": text}]} for text in ("a b", " a\nb ", "ab")]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert check_records(OwnRecords(files=(tmp_path / "a.json",))).good.tolist() == [0, 2]


def test_a_value_of_a_kind_that_nobody_foresaw_is_a_fault_of_its_row(tmp_path):
    content = [{"type": "video", "video": 3}]
    row = {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "x"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    verdict = RowCheck(records=OwnRecords(files=(tmp_path / "a.jsonl",)), budget=None)(0)
    assert verdict.trouble.fault == Fault.MALFORMED


def test_a_check_needs_processes_and_time(planted):
    data = OwnRecords(files=(planted[0],))
    with pytest.raises(ConfigError, match="got jobs=0"):
        check_records(data, jobs=0)
    with pytest.raises(ConfigError, match="timeout_s=0"):
        check_records(data, timeout_s=0)
