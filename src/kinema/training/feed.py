"""Samples of a mixture to batches: the same numbers at the same steps, whatever stopped in between."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from kinema.datasets.mixture import Mixture
from kinema.distributed.world import rank, world_size
from kinema.errors import ConfigError
from kinema.processors.messages import Conversation
from kinema.training.accumulation import split
from kinema.training.run import RunConfig
from kinema.training.stage import Stage


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


def feed(
    processor: TrainingProcessor, stage: Stage, run: RunConfig, first_step: int
) -> Iterator[list[Batch]]:
    """Batches of this process from a step on, each as its parts; most have one."""
    loader = DataLoader(
        _Samples(stage.data, stage.name, run.seed),
        batch_sampler=_Shares(stage, first_step),
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
