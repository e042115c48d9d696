"""Train a model through the stages of a recipe: one device a process, one process or several."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from kinema.distributed.world import joined_world, rank, wait_for_all, world_size
from kinema.training.accumulation import backward, check_divisible
from kinema.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from kinema.training.feed import TrainingProcessor, feed
from kinema.training.log import StepLog
from kinema.training.optimizer import build_optimizer
from kinema.training.run import RunConfig
from kinema.training.stage import Stage

logger = logging.getLogger(__name__)


def train(
    model: nn.Module,
    processor: TrainingProcessor,
    stages: Sequence[Stage],
    run: RunConfig,
    *,
    on_stage_end: Callable[[Stage], None] | None = None,
) -> None:
    """Go through the stages in order; a run that was stopped goes on from its last checkpoint.

    Writes ``checkpoint.pt`` and ``log.jsonl`` into ``run.out_dir``. The same seed draws the same samples,
    also after a stop. Under ``torchrun`` every process takes its part of each batch, and gradients are
    averaged.

    Args:
        model: trained in place.
        processor: makes batches from conversations.
        stages: the recipe.
        run: where and how.
        on_stage_end: called with each stage that has ended, such as to evaluate.
    """
    with joined_world(run.device):
        _train_stages(model, processor, stages, run, on_stage_end)


def _train_stages(
    model: nn.Module,
    processor: TrainingProcessor,
    stages: Sequence[Stage],
    run: RunConfig,
    on_stage_end: Callable[[Stage], None] | None,
) -> None:
    path = run.out_dir / "checkpoint.pt"
    progress, optimizer_state = Progress(), None
    if path.exists():
        progress, optimizer_state = load_checkpoint(path, model)
        logger.info("going on at stage %d, step %d of %s", progress.stage, progress.step, path)
    wait_for_all()  # before the first of them writes
    model.to(run.device).train()
    for index in range(progress.stage, len(stages)):
        if index > progress.stage:
            progress, optimizer_state = Progress(stage=index), None
        _train_stage(model, processor, stages[index], run, progress, optimizer_state)
        if rank() == 0:
            save_checkpoint(path, model, None, Progress(stage=index + 1))
        if on_stage_end is not None:
            on_stage_end(stages[index])
            model.train()


def _train_stage(
    model: nn.Module,
    processor: TrainingProcessor,
    stage: Stage,
    run: RunConfig,
    progress: Progress,
    optimizer_state: list[dict[str, Any]] | None,
) -> None:
    check_divisible(stage.loss, stage.batch_size // world_size(), run.max_samples_at_once)
    optimizer = build_optimizer(model, stage.learning_rates, stage.optimizer)
    if optimizer_state is not None:
        optimizer.load_state_dict(optimizer_state)
    batches = feed(processor.with_settings(**stage.processor), stage, run, progress.step)
    log = StepLog(run.out_dir / "log.jsonl", stage, every=run.log_every)
    for step, parts in enumerate(batches, start=progress.step):
        factor = stage.schedule.factor(step, stage.num_steps)
        loss = backward(stage.loss, model, parts, device=run.device, bfloat16=run.bfloat16)
        grad_norm = optimizer.step(factor)
        if rank() > 0:
            continue
        log.add(step, loss, grad_norm, factor, parts)
        if (step + 1) % run.save_every == 0:
            here = Progress(stage=progress.stage, step=step + 1)
            save_checkpoint(run.out_dir / "checkpoint.pt", model, optimizer, here)
