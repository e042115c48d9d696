"""What ends a run against its will: a message says what, and the last checkpoint is whole."""

import math
import os
import signal
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from letters import LetterModel, LetterProcessor, letter_run, letter_stage

from kinema.errors import TrainingError
from kinema.training.bad_samples import BadSample, BadSamples
from kinema.training.checkpoint import Checkpoints
from kinema.training.failures import explained
from kinema.training.json_lines import append_lines, read_lines
from kinema.training.loop import train
from kinema.training.losses import NextToken
from kinema.training.optimizer import OptimizerConfig


@dataclass
class BreaksAt:
    """The loss of next tokens, spoilt at some of its calls."""

    calls: tuple[int, ...]
    factor: float = math.nan
    count_of_calls: int = 0

    def __call__(self, model: Any, inputs: Any) -> torch.Tensor:
        loss = NextToken()(model, inputs)
        if torch.is_grad_enabled():
            self.count_of_calls += 1
        return loss * self.factor if self.count_of_calls in self.calls else loss


class BreaksInTerms(BreaksAt):
    """The same as the sum of two terms."""

    def terms(self, model, inputs):
        return {"words": NextToken()(model, inputs), "pictures": torch.tensor(math.nan)}


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_run_with_its_samples(tmp_path, factor):
    stages = [letter_stage(loss=BreaksAt((8,), factor))]
    said = (
        rf"stage letters, step 8: the loss is {factor}.*\(whole {factor}\); "
        r"samples 56, 57, 58, 59, 60, 61, 62, 63\..*max_skipped_steps, now 0.*"
        r"goes on from .*stage0-step00000005"
    )
    model = LetterModel()
    with pytest.raises(TrainingError, match=said):
        train(model, LetterProcessor(), stages, letter_run(tmp_path))
    assert model.embedding.weight.isfinite().all()

    resumed, whole = LetterModel(), LetterModel()
    train(resumed, LetterProcessor(), [letter_stage()], letter_run(tmp_path))
    train(whole, LetterProcessor(), [letter_stage()], letter_run(tmp_path / "whole"))
    assert torch.equal(resumed.embedding.weight, whole.embedding.weight)


def test_each_term_of_such_a_loss_is_told(tmp_path):
    said = r"\(whole words 3\.\d+, whole pictures nan\)"
    with pytest.raises(TrainingError, match=said):
        train(
            LetterModel(), LetterProcessor(), [letter_stage(loss=BreaksInTerms((1,)))], letter_run(tmp_path)
        )


class Steep(LetterModel):
    """The square root of zero has no slope."""

    def hidden_states(self, inputs):
        hidden = super().hidden_states(inputs)
        return hidden + (hidden - hidden).square().sum(-1, keepdim=True).sqrt()


def test_a_gradient_that_is_not_finite_moves_nothing(tmp_path):
    model = Steep()
    before = model.embedding.weight.clone()
    with pytest.raises(TrainingError, match=r"step 1: the loss is 3\.\d+, the norm of its gradient nan"):
        train(model, LetterProcessor(), [letter_stage()], letter_run(tmp_path))
    assert torch.equal(model.embedding.weight, before)


def test_a_gradient_that_no_scale_makes_finite_is_told_and_counted(tmp_path):
    run = letter_run(tmp_path, precision="float16", max_skipped_steps=1)
    said = (  # the scale is 65536 at first, and 1 in the 17th step
        r"step 18: the loss is 3\.\d+, the norm of its gradient nan \(whole 3\.\d+\); samples 136, .*"
        r"max_skipped_steps, now 1"
    )
    with pytest.raises(TrainingError, match=said):
        train(Steep(), LetterProcessor(), [letter_stage()], run)


def test_a_scale_that_is_too_large_is_lowered_and_not_counted(tmp_path):
    model, run = LetterModel(), letter_run(tmp_path, precision="float16")
    before = model.embedding.weight.clone()
    train(model, LetterProcessor(), [letter_stage(loss=BreaksAt(tuple(range(1, 21)), 1e4))], run)
    lines = read_lines(tmp_path / "log.jsonl")
    assert lines[0]["grad_norm"] is None
    assert lines[-1]["skipped_steps"] == 0
    assert not torch.equal(model.embedding.weight, before)


def test_some_such_steps_may_be_left_out_and_are_counted_over_a_stop(tmp_path):
    run = letter_run(tmp_path, max_skipped_steps=2)
    with pytest.raises(TrainingError, match="step 9"):
        train(LetterModel(), LetterProcessor(), [letter_stage(loss=BreaksAt((2, 4, 9)))], run)
    assert Checkpoints(tmp_path, keep=2).progress().skipped == 2
    with pytest.raises(TrainingError, match="step 6"):
        train(LetterModel(), LetterProcessor(), [letter_stage(loss=BreaksAt((1,)))], run)
    train(LetterModel(), LetterProcessor(), [letter_stage()], run)


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    class Diverging(LetterModel):
        """Its loss does not see one of its weights, which some step has spoilt."""

        def hidden_states(self, inputs):
            if self.training and inputs.input_ids.sum() > 0:
                with torch.no_grad():
                    self.unseen.fill_(math.nan)
            return super().hidden_states(inputs)

        def __init__(self) -> None:
            super().__init__()
            self.unseen = torch.nn.Parameter(torch.zeros(2))

    rates = {"embedding": 0.1, "language_model": 0.1, "unseen": 0.1}
    with pytest.raises(TrainingError, match=r"1 weights are no longer finite, such as unseen.*begins anew"):
        train(Diverging(), LetterProcessor(), [letter_stage(learning_rates=rates)], letter_run(tmp_path))
    assert Checkpoints(tmp_path, keep=2).latest() is None


def test_a_worker_that_is_killed_is_told_with_what_to_do(tmp_path):
    class Killed(LetterProcessor):
        """Dies at its tenth batch, as by the kernel's want of memory."""

        left = 10

        def __call__(self, conversations, *, with_labels):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(conversations, with_labels=with_labels)

        def with_settings(self, **settings):
            return self

    said = (
        r"reads samples ahead (is killed by signal: Killed|exited unexpectedly|has ended)\."
        r".*lower num_workers.*step00000005"
    )
    with pytest.raises(TrainingError, match=said):
        train(LetterModel(), Killed(), [letter_stage()], letter_run(tmp_path, num_workers=1))
    resumed, whole = LetterModel(), LetterModel()
    train(resumed, LetterProcessor(), [letter_stage()], letter_run(tmp_path))
    train(whole, LetterProcessor(), [letter_stage()], letter_run(tmp_path / "whole"))
    assert torch.equal(resumed.embedding.weight, whole.embedding.weight)


class FillsTheDisk(LetterProcessor):
    """Makes a file of the run, unless it is there, one of a disk that is full."""

    def __init__(self, path) -> None:
        self.path = path

    def __call__(self, conversations, *, with_labels):
        if not self.path.exists():
            self.path.symlink_to("/dev/full")
        return super().__call__(conversations, with_labels=with_labels)


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    full = FillsTheDisk(tmp_path / "log.jsonl")
    with pytest.raises(TrainingError, match=r"log\.jsonl: No space left on device.*begins anew"):
        train(LetterModel(), full, [letter_stage()], letter_run(tmp_path))


def test_a_log_that_cannot_be_cut_is_told(tmp_path):
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=5)], letter_run(tmp_path))
    append_lines(tmp_path / "log.jsonl", [{"stage": "next", "step": 5}])
    (tmp_path / "log.partial").symlink_to("/dev/full")
    said = r"log\.jsonl: No space left on device.*step00000005"
    with pytest.raises(TrainingError, match=said):
        train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=10)], letter_run(tmp_path))


def test_bad_samples_that_cannot_be_written_down_are_told(tmp_path):
    (tmp_path / "bad_samples.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: .*bad_samples\.jsonl"):
        BadSamples(tmp_path / "bad_samples.jsonl", "tune", 1.0).add(0, [BadSample.of(OSError("gone"), 7, ())])


def test_a_picture_that_cannot_be_written_is_a_warning(tmp_path, caplog):
    full = FillsTheDisk(tmp_path / "loss.partial.png")
    train(LetterModel(), full, [letter_stage()], letter_run(tmp_path))
    assert [record.levelname for record in caplog.records if "no picture" in record.message] == ["WARNING"]
    assert not (tmp_path / "loss.png").exists()


def test_files_of_a_neighbour_are_not_those_of_a_run(tmp_path):
    checkpoints = Checkpoints(tmp_path / "a", keep=2)
    with pytest.raises(FileNotFoundError), explained(checkpoints):
        (tmp_path / "ab" / "film.mp4").read_bytes()
    with pytest.raises(TrainingError, match=r"film\.mp4: No such file"), explained(checkpoints):
        (tmp_path / "a" / "film.mp4").read_bytes()


def test_a_batch_without_a_label_is_told_with_what_is_kept(tmp_path):
    class NeverAnswers(LetterProcessor):
        def __call__(self, conversations, *, with_labels):
            inputs = super().__call__(conversations, with_labels=with_labels)
            return replace(inputs, labels=torch.full_like(inputs.labels, -100))

        def with_settings(self, **settings):
            return self

    with pytest.raises(TrainingError, match=r"no token of the batch has a label.*; there is no checkpoint"):
        train(LetterModel(), NeverAnswers(), [letter_stage()], letter_run(tmp_path))


def test_other_errors_stay_what_they_are(tmp_path):
    class Faulty(LetterProcessor):
        def __call__(self, conversations, *, with_labels):
            raise RuntimeError("a fault of its own")

        def with_settings(self, **settings):
            return self

    with pytest.raises(RuntimeError, match="a fault of its own"):
        train(LetterModel(), Faulty(), [letter_stage()], letter_run(tmp_path))


def test_the_optimizer_keeps_nothing_of_a_step_that_is_left_out(tmp_path):
    adam = OptimizerConfig(betas=(0.0, 0.0))
    spoilt, clean = LetterModel(), LetterModel()
    run = letter_run(tmp_path / "spoilt", max_skipped_steps=1)
    train(spoilt, LetterProcessor(), [letter_stage(num_steps=1, loss=BreaksAt((1,)), optimizer=adam)], run)
    assert torch.equal(spoilt.embedding.weight, clean.embedding.weight)
