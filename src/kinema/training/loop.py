"""Train a model through the stages of a recipe: one device a process, one process or several."""

import logging
import math
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, NoReturn

from torch import nn

from kinema.distributed.gather import largest_of_all
from kinema.distributed.world import joined_world, world_size
from kinema.errors import StoppedError, TrainingError
from kinema.training.accumulation import backward, check_divisible
from kinema.training.checkpoint import Checkpoints, Progress
from kinema.training.draws import seed_step
from kinema.training.failures import explained
from kinema.training.feed import TrainingProcessor, feed
from kinema.training.finite import explain_step, samples_of, weights_not_finite
from kinema.training.optimizer import PartOptimizer, build_optimizer
from kinema.training.parallel import Trainee, trainee
from kinema.training.report import Report, reporting
from kinema.training.run import RunConfig
from kinema.training.run_folder import expect_shared, only_run
from kinema.training.stage import Stage
from kinema.training.step_log import StepLog
from kinema.training.stop import StopRequest, stop_on_signals

logger = logging.getLogger(__name__)

_SAVE, _STOP = 1, 2


def train(
    model: nn.Module,
    processor: TrainingProcessor,
    stages: Sequence[Stage],
    run: RunConfig,
    *,
    on_stage_end: Callable[[Stage], None] | None = None,
) -> None:
    """Go through the stages in order; a run that was stopped goes on from its last checkpoint.

    Writes ``checkpoints``, ``log.jsonl`` and ``loss.png`` into ``run.out_dir``. The same seed draws the same
    samples and the same random numbers, so a run that was stopped or killed ends as one that was not. Under
    ``torchrun`` every process takes its part of each batch, and gradients are averaged.

    Args:
        model: trained in place.
        processor: makes batches from conversations.
        stages: the recipe.
        run: where and how.
        on_stage_end: called with each stage that has ended, such as to evaluate; called again if the run is
            stopped before it returns.

    Raises:
        StoppedError: after SIGTERM or Ctrl-C, when a checkpoint is written.
        TrainingError: if the run cannot go on; the last checkpoint is whole. Or if another run is writing in
            its folder.
    """
    checkpoints = Checkpoints(run.out_dir, keep=run.keep_checkpoints)
    with (
        joined_world(run.device),
        explained(checkpoints),
        stop_on_signals() as stop,
        only_run(run),
        trainee(model, run) as learner,
    ):
        checkpoints.remove_unfinished()
        progress = checkpoints.progress()
        expect_shared(run, progress)
        with reporting(run, stages, progress) as report:
            training = _Training(learner, processor, run, checkpoints, report, stop)
            training.go_through(stages, progress, on_stage_end)


class _Training:
    """A run under way."""

    def __init__(
        self,
        learner: Trainee,
        processor: TrainingProcessor,
        run: RunConfig,
        checkpoints: Checkpoints,
        report: Report,
        stop: StopRequest,
    ) -> None:
        self.learner, self.processor, self.run = learner, processor, run
        self.checkpoints, self.report, self.stop = checkpoints, report, stop
        self.saved, self.is_resumed = time.monotonic(), False

    def go_through(
        self, stages: Sequence[Stage], progress: Progress, on_stage_end: Callable[[Stage], None] | None
    ) -> None:
        if progress.stage >= len(stages):
            logger.info("the run in %s is finished: nothing is left to be done", self.run.out_dir)
            self.checkpoints.load(self.learner.model, None)
        elif progress != Progress():
            logger.info(
                "stage %d, step %d: %s", progress.stage, progress.step, self.checkpoints.how_to_go_on()
            )
        for index in range(progress.stage, len(stages)):
            progress = self._train_stage(stages[index], progress)
            if on_stage_end is not None:
                with self.learner.whole():
                    on_stage_end(stages[index])
                self.learner.train()
            progress = replace(progress, stage=index + 1, step=0)
            self.checkpoints.move_on(progress)
            self._stop_if_asked(f"at the end of stage {stages[index].name}")

    def _train_stage(self, stage: Stage, progress: Progress) -> Progress:
        run, learner = self.run, self.learner
        check_divisible(stage.loss, stage.batch_size // world_size(), run.max_samples_at_once)
        optimizer = build_optimizer(learner.model, stage.learning_rates, stage.optimizer, learner.scaler)
        self._resume(stage, optimizer, progress)
        log = StepLog(stage, run, progress, self.report.outlets)
        processor = self.processor.with_settings(**stage.processor)
        with closing(feed(processor, stage, run, progress.step)) as batches:
            for step, parts in enumerate(log.waiting_for(batches), start=progress.step):
                seed_step(run.seed, stage.name, step)
                factor = stage.schedule.factor(step, stage.num_steps)
                loss = grad_norm = math.nan  # and remains so where every sample of a batch is bad
                if not batches.is_empty:
                    with log.meter.watching(parts):
                        loss = backward(stage.loss, learner, parts)
                    grad_norm = optimizer.step(factor, is_usable=math.isfinite(loss))
                    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
                        progress = self._leave_out(stage, parts, loss, grad_norm, progress)
                log.add(
                    step, loss, grad_norm, factor, parts, skipped=progress.skipped, bad=batches.bad.num_bad
                )
                progress = replace(progress, step=step + 1, losses=tuple(log.losses))
                if step + 1 < stage.num_steps:
                    self._save_if_due(stage, optimizer, progress)
        progress = replace(progress, step=stage.num_steps, losses=())
        self._save(stage, None, progress)
        return progress

    def _resume(self, stage: Stage, optimizer: PartOptimizer, progress: Progress) -> None:
        """Go on from the last checkpoint, if the run has not come on from it by itself."""
        if self.is_resumed:
            return
        is_under_way = 0 < progress.step < stage.num_steps
        self.checkpoints.load(self.learner.model, optimizer if is_under_way else None)
        if progress.scaler:
            self.learner.scaler.load_state_dict(dict(progress.scaler))
        self.is_resumed = True

    def _leave_out(
        self, stage: Stage, parts: list[Any], loss: float, grad_norm: float, progress: Progress
    ) -> Progress:
        """Count a step that moved nothing, because its loss or its gradient is not finite.

        A gradient may overflow because its loss is scaled by more than 1: then it has halved the scale, and
        is not counted.

        Raises:
            TrainingError: if there were too many of them.
        """
        scaler = self.learner.scaler
        if scaler.is_enabled() and math.isfinite(loss) and scaler.get_scale() >= 1:
            return progress
        progress, step = replace(progress, skipped=progress.skipped + 1), progress.step
        seed_step(self.run.seed, stage.name, step)
        terms = explain_step(self.learner, stage, parts)
        said = (
            f"stage {stage.name}, step {step + 1}: the loss is {loss:.4g}, the norm of its gradient "
            f"{grad_norm:.4g} ({terms}); samples {', '.join(map(str, samples_of(stage, step)))}."
        )
        if progress.skipped > self.run.max_skipped_steps:
            raise TrainingError(
                f"{said} Look at these samples, lower the learning rate, or let max_skipped_steps, now "
                f"{self.run.max_skipped_steps}, leave such steps out; {self.checkpoints.how_to_go_on()}"
            )
        logger.warning(
            "%s The step is left out, the %d. of at most %d.",
            said,
            progress.skipped,
            self.run.max_skipped_steps,
        )
        return progress

    def _save_if_due(self, stage: Stage, optimizer: PartOptimizer, progress: Progress) -> None:
        """Write a checkpoint after so many steps, after some time, or before a stop; all processes do."""
        is_late = time.monotonic() - self.saved > self.run.save_every_s
        wish = largest_of_all(_STOP if self.stop.is_made else _SAVE * is_late, self.run.device)
        if wish or progress.step % self.run.save_every == 0:
            self._save(stage, optimizer, progress)
        if wish == _STOP:
            self._stop(f"after step {progress.step} of stage {stage.name}")

    def _save(self, stage: Stage, optimizer: PartOptimizer | None, progress: Progress) -> None:
        if broken := weights_not_finite(self.learner.model, self.run.device):
            raise TrainingError(
                f"stage {stage.name}, step {progress.step}: {len(broken)} weights are no longer finite, such "
                f"as {broken[0]}, and not saved. Lower the learning rate; {self.checkpoints.how_to_go_on()}"
            )
        scaler = self.learner.scaler.state_dict()
        self.checkpoints.save(self.learner.model, optimizer, replace(progress, scaler=scaler))
        self.saved = time.monotonic()
        self.report.draw(is_last=optimizer is None)

    def _stop_if_asked(self, where: str) -> None:
        if largest_of_all(int(self.stop.is_made), self.run.device):
            self._stop(where)

    def _stop(self, where: str) -> NoReturn:
        number = self.stop.signal or signal.SIGTERM
        raise StoppedError(f"stopped by {number.name} {where}; {self.checkpoints.how_to_go_on()}", number)
