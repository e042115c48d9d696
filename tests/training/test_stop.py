"""A run that is asked to stop keeps what it has learned."""

import json
import os
import signal

import pytest
import torch
from letters import LetterModel, LetterProcessor, letter_run, letter_stage

from kinema.errors import StoppedError
from kinema.training.loop import train
from kinema.training.stop import stop_on_signals


class Signalling(LetterProcessor):
    """Sends its process a signal while it makes a batch."""

    def __init__(self, number: signal.Signals, at_batch: int) -> None:
        self.number, self.left = number, at_batch

    def __call__(self, conversations, *, with_labels):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)
        return super().__call__(conversations, with_labels=with_labels)

    def with_settings(self, **settings):
        return self


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_after_its_step_and_it_goes_on_from_there(tmp_path, number, exit_code):
    stages = [letter_stage(num_steps=20)]
    run = letter_run(tmp_path / "stopped", save_every=1000, log_every=4)
    said = rf"stopped by {number.name} after step 7 of stage letters; .*goes on from .*step00000007\.$"
    with pytest.raises(StoppedError, match=said) as stopped:
        train(LetterModel(dropout=0.1), Signalling(number, 7), stages, run)
    assert stopped.value.exit_code == exit_code

    resumed, whole = LetterModel(dropout=0.1), LetterModel(dropout=0.1)
    train(resumed, LetterProcessor(), stages, run)
    train(whole, LetterProcessor(), stages, letter_run(tmp_path / "whole", log_every=4))
    assert torch.equal(resumed.embedding.weight, whole.embedding.weight)
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("stopped", "whole")
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 5


def test_a_signal_at_the_end_of_a_stage_stops_before_the_next(tmp_path):
    stages = [letter_stage("one", 2), letter_stage("two", 2)]
    with pytest.raises(StoppedError, match="at the end of stage one"):
        train(
            LetterModel(),
            LetterProcessor(),
            stages,
            letter_run(tmp_path),
            on_stage_end=lambda stage: os.kill(os.getpid(), signal.SIGTERM),
        )
    told = []
    train(LetterModel(), LetterProcessor(), stages, letter_run(tmp_path), on_stage_end=told.append)
    assert [stage.name for stage in told] == ["two"]


@pytest.fixture
def interruptible():
    """Ctrl-C raises, also where the shell that began the tests made it do nothing."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_the_second_signal_ends_the_process_as_it_always_would():
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_afterwards_signals_are_whose_they_were():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_processes_that_read_ahead_outlive_a_stop_of_all(tmp_path):
    class SignalsAll(LetterProcessor):
        """In the process that reads ahead: signals that process and the one that trains."""

        def __call__(self, conversations, *, with_labels):
            mark = tmp_path / "signalled"
            if not mark.exists():
                mark.touch()
                for process in (os.getppid(), os.getpid()):
                    os.kill(process, signal.SIGTERM)
            return super().__call__(conversations, with_labels=with_labels)

        def with_settings(self, **settings):
            return self

    with pytest.raises(StoppedError, match="goes on from"):
        train(LetterModel(), SignalsAll(), [letter_stage()], letter_run(tmp_path, num_workers=1))
