"""Train a model through the stages of a recipe: one device a process, one process or several."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from kinema.datasets.mixture import Mixture
from kinema.distributed.world import joined_world, rank, wait_for_all, world_size
from kinema.errors import ConfigError
from kinema.processors.inputs import ModelInputs
from kinema.processors.messages import Conversation
from kinema.training.accumulation import backward, check_divisible, split
from kinema.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from kinema.training.optimizer import build_optimizer
from kinema.training.stage import Stage

logger = logging.getLogger(__name__)


class Batch(Protocol):
    """What a processor makes of samples and a loss takes, such as ``ModelInputs`` or ``PairInputs``."""

    @property
    def input_ids(self) -> Tensor:
        """(B, N), which the log counts."""

    def to(self, device: str) -> "Batch":
        """The same on a device."""


class TrainingProcessor(Protocol):
    """What training asks of a processor."""

    def __call__(self, conversations: Sequence[Conversation], *, with_labels: bool) -> Batch:
        """One batch, with labels."""

    def with_settings(self, **settings: object) -> "TrainingProcessor":
        """The same processor with some settings changed."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How a recipe is run here; nothing in it changes what is learned, but for rounding."""

    out_dir: Path
    seed: int = 0
    device: str = "cpu"
    bfloat16: bool = False
    """Whether matrix products run in bfloat16, with float32 weights."""
    num_workers: int = 1
    """Processes that draw and encode batches ahead; 0 does it in the training process."""
    max_samples_at_once: int | None = None
    """Samples that go through the model together; gradients of a larger batch are accumulated."""
    log_every: int = 20
    save_every: int = 500

    def __post_init__(self) -> None:
        if self.max_samples_at_once is not None and self.max_samples_at_once < 1:
            raise ConfigError(f"max_samples_at_once {self.max_samples_at_once} must be at least 1.")
        if self.log_every < 1 or self.save_every < 1:
            raise ConfigError(
                f"log_every {self.log_every} and save_every {self.save_every} must be at least 1."
            )


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
    batches = _batches(processor.with_settings(**stage.processor), stage, run, progress)
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


class _Samples(Dataset[Conversation]):
    """Samples of a mixture by place in the run and number, each number with a generator of its own.

    Seeds are those of places: a sample that comes again, in the next round or in its own batch, is the same,
    and what a processor draws of it is not.
    """

    def __init__(self, data: Mixture, name: str, seed: int) -> None:
        self.data = data
        self.entropy = (seed, *name.encode())

    def __getitem__(self, drawn: tuple[int, int]) -> Conversation:
        place, index = drawn
        talk = self.data.sample(index, np.random.default_rng((*self.entropy, index)))
        if talk.seed is not None:
            return talk
        return replace(talk, seed=int(np.random.default_rng((*self.entropy, index, place)).integers(2**63)))


def _batches(
    processor: TrainingProcessor, stage: Stage, run: RunConfig, progress: Progress
) -> Iterator[list[Batch]]:
    """The parts of each batch; most have one."""
    loader = DataLoader(
        _Samples(stage.data, stage.name, run.seed),
        batch_sampler=_Shares(stage, progress.step),
        collate_fn=lambda conversations: [
            processor(part, with_labels=True) for part in split(conversations, run.max_samples_at_once)
        ],
        num_workers=run.num_workers,
    )
    return iter(loader)


class _Shares(Sampler[list[tuple[int, int]]]):
    """The samples of this process in each batch that is left: its rank says which part of the batch.

    Each as its place, counted over all batches of the run, and its number.
    """

    def __init__(self, stage: Stage, first_step: int) -> None:
        if stage.batch_size % world_size():
            raise ConfigError(
                f"stage {stage.name}: batch_size {stage.batch_size} must be a multiple of the {world_size()} "
                "processes that share it."
            )
        self.stage, self.first_step = stage, first_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batch_size = self.stage.batch_size
        share = batch_size // world_size()
        mine = slice(rank() * share, (rank() + 1) * share)
        for step in range(self.first_step, self.stage.num_steps):
            numbers = self.stage.order.batch(step, batch_size)
            places = range(step * batch_size, (step + 1) * batch_size)
            yield list(zip(places, numbers, strict=True))[mine]


class StepLog:
    """One JSON line every few steps: loss, rates, how fast it goes, and how many samples were too long."""

    def __init__(self, path: Path, stage: Stage, *, every: int) -> None:
        self.path, self.stage, self.every = path, stage, every
        path.parent.mkdir(parents=True, exist_ok=True)
        self._restart()

    def _restart(self) -> None:
        self.losses: list[float] = []
        self.num_samples = self.num_tokens = self.num_cut = 0
        self.started = time.perf_counter()

    def add(self, step: int, loss: float, grad_norm: float, factor: float, parts: list[Batch]) -> None:
        """Count a step, and write a line when one is due."""
        self.losses.append(loss)
        for inputs in parts:
            self.num_samples += len(inputs.input_ids)
            self.num_tokens += inputs.input_ids.numel()
            self.num_cut += inputs.num_cut if isinstance(inputs, ModelInputs) else 0
        if (step + 1) % self.every:
            return
        seconds = time.perf_counter() - self.started
        line = {
            "stage": self.stage.name,
            "step": step + 1,
            "of": self.stage.num_steps,
            "loss": round(sum(self.losses) / len(self.losses), 4),
            "grad_norm": round(grad_norm, 3),
            "rate_factor": round(factor, 4),
            "samples_per_s": round(self.num_samples / seconds, 2),
            "tokens_per_s": round(self.num_tokens / seconds),
            "cut_samples": self.num_cut,
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        logger.info("%(stage)s %(step)d/%(of)d  loss %(loss).4f  %(samples_per_s).1f samples/s", line)
        self._restart()
