"""Samples of a mixture to batches: the same numbers at the same steps, whatever stopped in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from kinema.distributed.gather import sum_of_all
from kinema.distributed.world import rank, world_size
from kinema.errors import ConfigError
from kinema.processors.messages import Conversation
from kinema.training.accumulation import DivisibleLoss, split
from kinema.training.bad_samples import FILE_NAME, BadSample, BadSamples
from kinema.training.reading import Drawing, Drawn, ReadsOneByOne, Samples
from kinema.training.run import RunConfig
from kinema.training.stage import Stage
from kinema.training.stop import outlive_a_stop


class Batch(Protocol):
    """What a processor makes of samples and a loss takes, such as ``ModelInputs`` or ``PairInputs``."""

    @property
    def input_ids(self) -> Tensor:
        """(B, N), which the log counts."""

    def to(self, device: str) -> "Batch":
        """The same on a device."""


class TrainingProcessor(Protocol):
    """What training asks of a processor.

    One that is a ``ReadsOneByOne`` as well has its bad samples left out; one that ``Packs`` can be packed.
    """

    def __call__(self, conversations: Sequence[Conversation], *, with_labels: bool) -> Batch:
        """One batch, with labels."""

    def with_settings(self, **settings: object) -> "TrainingProcessor":
        """The same processor with some settings changed."""


@runtime_checkable
class Packs(Protocol):
    """A processor that can put samples end to end."""

    def pack(self, samples: Sequence[Any]) -> Batch:
        """One row of several samples that were read."""


@dataclass(frozen=True, kw_only=True)
class _Share:
    """What one process has of a batch."""

    parts: list[Batch]
    bad: tuple[BadSample | None, ...]
    """Of each sample, in order; None for a good one."""


class Feed:
    """Batches of this process from a step on, each as its parts; most have one.

    A bad sample is left out of its batch. A process all of whose samples are bad has no part, and joins the
    others without; if the loss compares samples with one another, no process has one then.
    """

    def __init__(self, processor: TrainingProcessor, stage: Stage, run: RunConfig, first_step: int) -> None:
        """Begin to read ahead.

        Raises:
            ConfigError: if the processes cannot share a batch evenly, or what is to be packed cannot be.
        """
        if stage.packing is not None:
            _check_packable(processor, stage)
        drawing = Drawing(data=stage.data, entropy=(run.seed, *stage.name.encode()))
        self.bad = BadSamples(run.out_dir / FILE_NAME, stage.name, run.max_bad_share)
        self.is_empty = False
        """Whether no process has a part of the present batch."""
        self._is_divisible = isinstance(stage.loss, DivisibleLoss)
        self._device, self._step = run.device, first_step
        self._samples = Samples(drawing, processor, stage.packing, run.sample_timeout_s)
        self._shares: Iterator[_Share] = iter(
            DataLoader(
                self._samples,
                batch_sampler=_Shares(stage, first_step),
                collate_fn=_Collate(processor, stage, run),
                num_workers=run.num_workers,
                worker_init_fn=outlive_a_stop,
            )
        )

    def __iter__(self) -> "Feed":
        return self

    def close(self) -> None:
        """End the processes that read ahead; torch does so only when nobody refers to them any more."""
        if isinstance(self._shares, _MultiProcessingDataLoaderIter):
            self._shares._shutdown_workers()

    def __next__(self) -> list[Batch]:
        """The parts of the next batch.

        Raises:
            DataError: if too many samples were bad, of all or in a row.
        """
        share = next(self._shares, None)
        if share is None:
            self._samples.close()
            raise StopIteration
        self.bad.add(self._step, share.bad)
        self._step += 1
        lacking = sum_of_all(int(not share.parts), self._device)
        self.is_empty = lacking == world_size() or (lacking > 0 and not self._is_divisible)
        return [] if self.is_empty else share.parts


def feed(processor: TrainingProcessor, stage: Stage, run: RunConfig, first_step: int) -> Feed:
    """Batches of a stage from a step on; see ``Feed``."""
    return Feed(processor, stage, run, first_step)


@dataclass(frozen=True)
class _Collate:
    """Samples of one share to its parts."""

    processor: Any
    stage: Stage
    run: RunConfig

    def __call__(self, samples: Sequence[Any]) -> _Share:
        bad = tuple(sample if isinstance(sample, BadSample) else None for sample in samples)
        good = [sample for sample in samples if not isinstance(sample, BadSample)]
        return _Share(parts=self._parts(good), bad=bad)

    def _parts(self, samples: Sequence[Any]) -> list[Batch]:
        if not samples:
            return []
        if self.stage.packing is not None:
            return [self.processor.pack(row) for row in self.stage.packing.rows(samples)]
        groups = split(samples, self.run.max_samples_at_once)
        if isinstance(self.processor, ReadsOneByOne):
            return [self.processor.collate(group) for group in groups]
        return [self.processor(group, with_labels=True) for group in groups]


class _Shares(Sampler[list[Drawn]]):
    """The samples of this process in each batch that is left: its rank says which part of the batch."""

    def __init__(self, stage: Stage, first_step: int) -> None:
        if stage.batch_size % world_size():
            raise ConfigError(
                f"stage {stage.name}: batch_size {stage.batch_size} must be a multiple of the {world_size()} "
                "processes that share it."
            )
        self.stage, self.first_step = stage, first_step

    def __iter__(self) -> Iterator[list[Drawn]]:
        batch_size = self.stage.batch_size
        share = batch_size // world_size()
        mine = slice(rank() * share, (rank() + 1) * share)
        for step in range(self.first_step, self.stage.num_steps):
            numbers = self.stage.order.batch(step, batch_size)
            places = range(step * batch_size, (step + 1) * batch_size)
            yield list(zip(places, numbers, strict=True))[mine]


def _check_packable(processor: TrainingProcessor, stage: Stage) -> None:
    if not isinstance(processor, Packs) or not isinstance(processor, ReadsOneByOne):
        raise ConfigError(f"stage {stage.name}: {type(processor).__name__} does not pack; leave packing out.")
    if not isinstance(stage.loss, DivisibleLoss):
        raise ConfigError(
            f"stage {stage.name}: {type(stage.loss).__name__} compares rows with each other, and packs are "
            "rows of many samples; leave packing out."
        )
