"""What keeps two runs from sharing a folder, and knows the data of a run again."""

import logging

import pytest
from letters import letter_run, letter_stage

from kinema.errors import ConfigError
from kinema.recipes.recipe import Request
from kinema.recipes.run_file import write_run_file

STAGE = letter_stage()


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "talk.jsonl"
    file.write_text("a row\n")
    return file


@pytest.fixture
def begin(tmp_path, data):
    """Write the file of a run into the same folder, some of it changed."""

    def write(*, request=None, **run):
        asked = Request(**{"data": {"letters": (str(data),)}, "model": "nano"} | (request or {}))
        write_run_file(tmp_path / "run", "letters", asked, [STAGE], letter_run(tmp_path / "run", **run))

    write()
    return write


@pytest.mark.parametrize(
    ("request_", "run", "difference"),
    [
        ({"model": "other"}, {}, "request.model was 'nano' and is 'other'"),
        ({"lora": True}, {}, "request.lora was False and is True"),
        ({}, {"seed": 7}, "run.seed was 0 and is 7"),
    ],
)
def test_a_run_from_something_else_or_with_other_chances_is_another_one(begin, request_, run, difference):
    with pytest.raises(ConfigError, match=f"holds another run: {difference}"):
        begin(request=request_, **run)


def test_how_it_is_run_may_change_and_is_told(begin, caplog):
    caplog.set_level(logging.INFO)
    begin(request={"half_base": True}, precision="bfloat16")
    assert [record.getMessage() for record in caplog.records] == [
        "going on with another setting: run.precision was 'float32' and is 'bfloat16'"
    ]


def test_data_that_have_changed_are_told_once(begin, data, caplog):
    begin()
    assert not caplog.records
    data.write_text("b row\n")
    begin()
    begin()
    (record,) = caplog.records
    assert f"{data} has changed since the run last began: it was 6 bytes" in record.getMessage()


def test_a_change_at_either_end_of_a_long_file_is_seen(begin, data, caplog):
    for place in (0, 3 * 2**20 - 1):
        content = bytearray(3 * 2**20)
        content[place] = 1
        data.write_bytes(content)
        begin()
    assert len(caplog.records) == 2


@pytest.mark.parametrize("content", ["", "recipe: letters\n", "{"])
def test_a_file_that_is_none_of_a_run_is_refused(begin, tmp_path, content):
    (tmp_path / "run/run.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"run\.yaml is not the file of a run; remove it"):
        begin()
