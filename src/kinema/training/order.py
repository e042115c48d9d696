"""Which samples make up each batch: one after the other, or samples of a like length together.

The latter is "group by modality length" of LLaVA's trainer, which Video-LLaVA uses in its second stage
(``llava/train/llava_trainer.py``): a batch of long texts and short ones pays for its longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from kinema.errors import ConfigError

Indices = NDArray[np.int64]


class Order(Protocol):
    """Numbers of samples, batch by batch; the same step always has the same."""

    def batch(self, step: int, batch_size: int) -> Sequence[int]:
        """As many as ``batch_size``; several processes take equal parts of it, in order."""

    def with_seed(self, seed: int) -> Self:
        """The same kind of order, drawn anew."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One after the other, without end: for data that are drawn, or shuffled already."""

    def batch(self, step: int, batch_size: int) -> Sequence[int]:
        """``step * batch_size`` and what follows."""
        return range(step * batch_size, (step + 1) * batch_size)

    def with_seed(self, seed: int) -> Self:
        """Itself: nothing is drawn."""
        return self


@dataclass(frozen=True)
class Shuffled:
    """A finite data set in a random order, and in another one the next time through."""

    num_samples: int
    seed: int = 42
    counts_rounds: bool = False
    """Whether sample i is number ``r * num_samples + i`` in round r, so that what the data draw of it, such
    as one of its texts, is drawn anew each time."""

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ConfigError(f"a data set needs samples to be shuffled, got {self.num_samples}.")

    def batch(self, step: int, batch_size: int) -> Sequence[int]:
        """A batch may begin at the end of one round and end at the start of the next."""
        places = np.arange(step * batch_size, (step + 1) * batch_size)
        rounds, places = np.divmod(places, self.num_samples)
        orders = {turn: self._round(turn) for turn in set(rounds.tolist())}
        first = self.num_samples if self.counts_rounds else 0
        return [
            turn * first + int(orders[turn][place])
            for turn, place in zip(rounds.tolist(), places.tolist(), strict=True)
        ]

    def with_seed(self, seed: int) -> Self:
        """See ``Order``."""
        return replace(self, seed=seed)

    def _round(self, turn: int) -> Indices:
        return np.random.default_rng([self.seed, turn]).permutation(self.num_samples)


@dataclass(frozen=True)
class OneKind:
    """Every batch is of one kind of samples, kinds in a random order; InternVideo2's loader of stage 2.

    Samples of the first kind have the numbers from 0, those of the next follow, as ``datasets.Joined`` has
    them. A kind gives as many batches a round as it fills.
    """

    counts: tuple[int, ...]
    """Samples of each kind."""
    seed: int = 42

    def batch(self, step: int, batch_size: int) -> Sequence[int]:
        """Samples of one kind.

        Raises:
            ConfigError: if no kind fills a batch.
        """
        per_round = [count // batch_size for count in self.counts]
        if not any(per_round):
            raise ConfigError(f"kinds of {self.counts} samples fill no batch of {batch_size}.")
        turn, place = divmod(step, sum(per_round))
        kinds = np.repeat(np.arange(len(per_round)), per_round)
        kinds = np.random.default_rng([self.seed, turn]).permutation(kinds)
        kind = int(kinds[place])
        number = turn * per_round[kind] + int((kinds[:place] == kind).sum())
        first = sum(self.counts[:kind])
        chosen = Shuffled(self.counts[kind], self.seed + kind).batch(number, batch_size)
        return [first + index for index in chosen]

    def with_seed(self, seed: int) -> Self:
        """See ``Order``."""
        return replace(self, seed=seed)


@dataclass(frozen=True)
class Repeated:
    """Each sample several times in its batch, for data that show it differently each time (arXiv
    1901.09335)."""

    order: Order
    times: int

    def batch(self, step: int, batch_size: int) -> Sequence[int]:
        """The copies of a sample stand together.

        Raises:
            ConfigError: if the batch cannot be shared evenly.
        """
        if batch_size % self.times:
            raise ConfigError(f"a batch of {batch_size} cannot hold every sample {self.times} times.")
        once = self.order.batch(step, batch_size // self.times)
        return [sample for sample in once for _ in range(self.times)]

    def with_seed(self, seed: int) -> Self:
        """See ``Order``."""
        return replace(self, order=self.order.with_seed(seed))


@dataclass(frozen=True)
class ByModalityLength:
    """Batches of visual samples and batches of text, each of like lengths dealt evenly over the processes.

    The samples of a modality are shuffled and cut into batches; a batch is sorted by length and dealt to its
    chunks, one a process, so that their sums of lengths are alike. Then the batches are
    shuffled. What is left of both modalities makes a mixed batch, the last. If there is one modality only,
    that is grouping by length.
    """

    lengths: tuple[int, ...]
    """Words of each sample: above 0 where it shows an image or a video, negative where it is text alone."""
    num_chunks: int
    """Parts of a batch that go through the model on their own: the number of processes."""
    seed: int = 42

    def __post_init__(self) -> None:
        if not self.lengths or 0 in self.lengths:
            raise ConfigError("each sample needs a length other than 0: words, negative for text alone.")

    def batch(self, step: int, batch_size: int) -> Sequence[int]:
        """A batch of one round through the data; rounds are shuffled anew.

        Raises:
            ConfigError: if the chunks cannot be equal, or the data do not fill a batch.
        """
        if batch_size % self.num_chunks or batch_size > len(self.lengths):
            raise ConfigError(
                f"batch_size {batch_size} must be a multiple of {self.num_chunks} chunks and at most the "
                f"{len(self.lengths)} samples there are."
            )
        turn, place = divmod(step, len(self.lengths) // batch_size)
        return self._round(turn, batch_size)[place]

    def with_seed(self, seed: int) -> Self:
        """See ``Order``."""
        return replace(self, seed=seed)

    @cached_property
    def _rounds(self) -> dict[tuple[int, int], list[list[int]]]:
        return {}

    def _round(self, turn: int, batch_size: int) -> list[list[int]]:
        """All whole batches of a round, kept for its other steps."""
        key = (turn, batch_size)
        if key not in self._rounds:
            self._rounds.clear()
            self._rounds[key] = self._deal(np.random.default_rng([self.seed, turn]), batch_size)
        return self._rounds[key]

    def _deal(self, rng: np.random.Generator, batch_size: int) -> list[list[int]]:
        lengths = np.array(self.lengths)
        batches: list[list[int]] = []
        rest: list[int] = []
        for group in (np.flatnonzero(lengths > 0), np.flatnonzero(lengths < 0)):
            shuffled = rng.permutation(group)
            whole = len(shuffled) - len(shuffled) % batch_size
            batches += [self._balanced(batch) for batch in shuffled[:whole].reshape(-1, batch_size)]
            rest += shuffled[whole:].tolist()
        order = rng.permutation(len(batches))
        mixed = [
            rest[start : start + batch_size] for start in range(0, len(rest) - batch_size + 1, batch_size)
        ]
        return [batches[index] for index in order] + mixed

    def _balanced(self, batch: Indices) -> list[int]:
        """Sort by length, the longest first; each goes to the chunk with room whose sum is smallest."""
        sizes = np.abs(np.array(self.lengths))
        room = len(batch) // self.num_chunks
        chunks: list[list[int]] = [[] for _ in range(self.num_chunks)]
        sums = [0.0] * self.num_chunks
        for index in sorted(batch.tolist(), key=lambda sample: -sizes[sample]):
            lightest = sums.index(min(sums))
            chunks[lightest].append(index)
            sums[lightest] = (
                sums[lightest] + float(sizes[index]) if len(chunks[lightest]) < room else float("inf")
            )
        return [index for chunk in chunks for index in chunk]
