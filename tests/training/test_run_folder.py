"""One run at a time in a folder."""

import os
import signal
import time

import pytest
import torch
from letters import LetterModel, LetterProcessor, letter_run, letter_stage
from many_lives import fork

from kinema.errors import TrainingError
from kinema.training.json_lines import read_lines
from kinema.training.loop import train


class HangsAtItsEighthBatch(LetterProcessor):
    """In the process that reads ahead, whose number it leaves in a file."""

    def __init__(self, mark):
        self.mark, self.left = mark, 8

    def __call__(self, conversations, *, with_labels):
        self.left -= 1
        if self.left == 0:
            self.mark.write_text(str(os.getpid()))
            time.sleep(1e6)
        return super().__call__(conversations, with_labels=with_labels)

    def with_settings(self, **settings):
        return self


@pytest.fixture
def first_run(tmp_path):
    """A run under way in a process of its own, past its first checkpoint; it and its reader, by number."""
    mark, saved = tmp_path / "reader.txt", tmp_path / "run/checkpoints/stage0-step00000005/progress.json"

    def live():
        torch.set_num_threads(1)
        train(
            LetterModel(),
            HangsAtItsEighthBatch(mark),
            [letter_stage(num_steps=8)],
            letter_run(tmp_path / "run", num_workers=1),
        )

    process, deadline = fork(live), time.monotonic() + 60
    while not (saved.exists() and mark.exists() and mark.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    reader = int(mark.read_text())
    yield process, reader
    os.kill(reader, signal.SIGKILL)


def test_a_second_run_is_refused_until_the_first_is_killed_though_its_reader_lives(first_run, tmp_path):
    process, reader = first_run
    folder = tmp_path / "run"
    being_written = folder / "checkpoints/partial-stage0-step00000010"
    being_written.mkdir()
    try:
        with pytest.raises(
            TrainingError, match=rf"another run is writing in {folder}\. Wait for it or end it"
        ):
            train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=8)], letter_run(folder))
        assert being_written.exists()
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    os.kill(reader, 0)  # lives
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=8)], letter_run(folder))
    assert [line["step"] for line in read_lines(folder / "log.jsonl")] == [5, 8]


def test_a_folder_that_cannot_be_made_is_told_as_that_of_the_run(tmp_path):
    (tmp_path / "file").touch()
    run = letter_run(tmp_path / "file/deep/run")
    with pytest.raises(TrainingError, match=r"file/deep/run/run\.lock: Not a directory\. Put that right"):
        train(LetterModel(), LetterProcessor(), [letter_stage()], run)
