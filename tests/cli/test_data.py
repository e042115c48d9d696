import json

import pytest
from command_line import run

from kinema.media.probe import probe
from kinema.toybox import DatasetSettings, write_dataset


def test_toybox_writes_the_clips_and_records_of_the_library(tmp_path):
    outcome = run(
        "data", "toybox", tmp_path / "ours", "--clips", 2, "--seed", 3, "--size", "64x96", "--fps", 8
    )
    assert outcome.exit_code == 0
    assert outcome.stdout == f"{tmp_path / 'ours' / 'clips.jsonl'}\n"
    write_dataset(tmp_path / "theirs", 2, DatasetSettings(seed=3, height=64, width=96, fps=8.0))
    for name in ("clips.jsonl", "clips/000000.mp4", "clips/000001.mp4"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    info = probe(tmp_path / "ours" / "clips" / "000001.mp4")
    assert (info.height, info.width, info.has_audio) == (64, 96, True)


def test_toybox_goes_on_where_it_was(tmp_path):
    run("data", "toybox", tmp_path, "--clips", 1, "--size", "32")
    before = (tmp_path / "clips" / "000000.mp4").stat().st_mtime_ns
    outcome = run("data", "toybox", tmp_path, "--clips", 2, "--size", "32", "--json")
    assert outcome.document == {"index": str(tmp_path / "clips.jsonl"), "clips": 2}
    assert (tmp_path / "clips" / "000000.mp4").stat().st_mtime_ns == before
    files = [json.loads(line)["file"] for line in (tmp_path / "clips.jsonl").read_text().splitlines()]
    assert files == ["clips/000000.mp4", "clips/000001.mp4"]


def test_toybox_does_not_mix_two_kinds_of_clips(tmp_path):
    run("data", "toybox", tmp_path, "--clips", 1, "--size", "32")
    outcome = run("data", "toybox", tmp_path, "--clips", 2, "--size", "48")
    assert outcome.exit_code == 2
    assert "height=32, width=32" in outcome.stderr


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--size", "small", "size must be like 112x112"),
        ("--size", "33", "even"),
        ("--level", "9", "level must be one of 1, 2, 3"),
        ("--split", "exam", "exam"),
        ("--clips", "0", "1 or more"),
    ],
)
def test_toybox_refuses_what_it_cannot_make(option, value, said, tmp_path):
    outcome = run("data", "toybox", tmp_path / "out", "--clips", 1, option, value)
    assert outcome.exit_code == 2
    assert said in outcome.stderr
