import json

import pytest
from command_line import run
from planted_faults import BAD, GOOD, write_planted


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return write_planted(tmp_path_factory.mktemp("planted"))[0]


def test_a_table_tells_the_reasons_and_the_exit_code_that_rows_are_bad(planted):
    outcome = run("data", "check", planted, "--examples", 1)
    assert outcome.exit_code == 1
    lines = outcome.stdout.splitlines()
    assert lines[0].split() == ["reason", "rows", "row", "why"]
    assert lines[1].startswith("broken      1     5    it is not JSON")
    reasons = [line[:11].strip() for line in lines[1:-1] if line[:11].strip()]
    assert reasons == [str(fault) for fault in BAD if fault not in ("too long", "refused")]
    assert "start from the folder that it lies in; --media names another" in outcome.stderr
    assert lines[-1] == f"{planted}: {sum(map(len, BAD.values())) - 2} of 27 rows are bad"


def test_good_rows_are_written_to_a_file_in_which_nothing_is_bad(planted, tmp_path):
    clean = tmp_path / "clean.jsonl"
    arguments = ("--model", "nano", "--max-tokens", 1000, "--jobs", 2, "--examples", 1, "--json")
    outcome = run("data", "check", planted, *arguments, "--clean", clean)
    document = outcome.document
    assert outcome.exit_code == 1
    assert (document["rows"], document["bad"], document["clean"]) == (27, 22, str(clean))
    assert {reason: of["rows"] for reason, of in document["reasons"].items()} == {
        fault: len(rows) for fault, rows in BAD.items()
    }
    (longest,) = document["reasons"]["too long"]["examples"]
    assert longest["why"].endswith("tokens, 1000 are the most.")
    assert "name it with --media" in outcome.stderr
    assert [json.loads(line) for line in clean.read_text().splitlines()] == GOOD
    again = run("data", "check", clean, "--media", planted.parent)
    assert again.exit_code == 0
    assert again.stdout == f"{clean}: 5 rows, all are good\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("none.jsonl",), 6, "none.jsonl: there is no such file"),
        (("rows.txt",), 2, "files of records end in .jsonl"),
        (("rows.jsonl", "--format", "alpaca"), 2, "format must be one of llava"),
        (("rows.jsonl", "--max-tokens", 5), 2, "name one with --model"),
        (("rows.jsonl", "--clean", "rows.csv"), 2, "of the same ending"),
        (("rows.jsonl", "--jobs", 0), 2, "got jobs=0"),
        (("rows.jsonl", "--jobs", "many"), 2, "--jobs"),
    ],
)
def test_what_cannot_be_checked_is_refused(arguments, code, said, planted):
    file, *options = arguments
    outcome = run("data", "check", planted.parent / file, *options)
    assert outcome.exit_code == code
    assert said in outcome.stderr
