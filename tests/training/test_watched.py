import os
import time

import pytest
import torch
from troubled import ReadsPipe, die, pause_in_native_code, sleep_for_ever

from kinema.errors import ConfigError, MediaError
from kinema.training.watched import ProcessDiedError, TookTooLongError, Watched


def work(asked):
    yield os.getpid()
    if callable(asked):
        asked()
    yield asked


@pytest.fixture
def watched():
    process = Watched(work, timeout_s=2.0)
    yield process
    process.close()


def test_work_is_done_in_another_process_that_stays(watched):
    first, told = watched(3)
    second, _ = watched(4)
    assert told == 3
    assert first == second != os.getpid()


def test_what_hangs_is_ended_and_the_next_is_done(watched, tmp_path):
    before, _ = watched(1)
    for hangs in (pause_in_native_code, ReadsPipe(tmp_path / "film.mp4")):
        asked_at = time.monotonic()
        with pytest.raises(TookTooLongError, match=r"it was not read in 2 s"):
            list(watched(hangs))
        assert time.monotonic() - asked_at < 20
        after, told = watched(2)
        assert told == 2
        assert after != before


def test_what_was_told_before_it_hung_is_known(watched):
    told = watched(sleep_for_ever)
    assert next(told) > 0
    with pytest.raises(TookTooLongError):
        next(told)


def test_a_process_that_dies_is_an_error_and_the_next_is_done(watched):
    with pytest.raises(ProcessDiedError, match="was ended by SIGKILL"):
        list(watched(die))
    assert list(watched(5))[1] == 5


def test_errors_come_through_as_they_are_raised():
    def unreadable():
        raise MediaError("film.mp4: no video in it.")

    def lost():
        raise FileNotFoundError(2, "No such file", "film.mp4")

    process = Watched(lambda asked: iter([{"unreadable": unreadable, "lost": lost}[asked]()]), 5.0)
    with pytest.raises(MediaError, match="no video in it"):
        list(process("unreadable"))
    with pytest.raises(FileNotFoundError) as raised:
        list(process("lost"))
    assert raised.value.filename == "film.mp4"


def test_an_error_that_nobody_expects_shows_where_it_was_raised():
    process = Watched(lambda asked: iter([{}[asked]]), 5.0)
    with pytest.raises(RuntimeError, match="in the process that reads samples") as raised:
        list(process("absent"))
    assert "KeyError: 'absent'" in str(raised.value)


def test_of_a_view_only_what_it_shows_is_sent():
    process = Watched(lambda asked: iter([torch.zeros(10_000_000)[3:5], torch.ones(2).bfloat16()]), 5.0)
    view, half = process(None)
    assert view.untyped_storage().nbytes() == 8
    assert half.dtype == torch.bfloat16


def test_systems_that_do_not_fork_are_told(monkeypatch):
    monkeypatch.delattr(os, "fork")
    with pytest.raises(ConfigError, match="set it to None here"):
        Watched(work, 1.0)
