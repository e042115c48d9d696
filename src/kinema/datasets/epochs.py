"""Finite sources, of each so many epochs: ``by_epochs((photos, 1), (films, 2.5))``."""

from bisect import bisect_right
from collections.abc import Sized
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np

from kinema.datasets.mixture import Mixture, Source, random_order
from kinema.errors import ConfigError
from kinema.processors.messages import Conversation


class FiniteSource(Source, Sized, Protocol):
    """Samples by number that can be counted."""


@dataclass(frozen=True, kw_only=True)
class EpochMixture(Mixture):
    """A mixture with an end: every source has as many samples as its weight says.

    Samples stand source after source; ``training.order.Shuffled(len(mixture))`` mixes them, and
    ``len(mixture) // batch_size`` steps see all of them. A source that is seen more than once begins again,
    and what is drawn of a sample is drawn anew. Of the last round of a source some samples are left out, at
    random, if its epochs are no whole number.
    """

    seed: int = 42
    """Of which samples those are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for source, weight in self.parts:
            if weight != int(weight) or not isinstance(source, Sized) or not len(source):
                raise ConfigError(
                    "weights are whole numbers of samples, of sources that can be counted; got "
                    f"{weight} of {source}."
                )

    def __len__(self) -> int:
        return int(sum(weight for _, weight in self.parts))

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """The sample of that number; numbers beyond the last begin again."""
        ends = list(accumulate(int(weight) for _, weight in self.parts))
        index %= ends[-1]
        place = bisect_right(ends, index)
        source, weight = self.parts[place]
        assert isinstance(source, Sized)
        order = random_order(len(source), self.seed, place)
        return source.sample(int(order[(index - ends[place] + int(weight)) % len(source)]), rng)


def by_epochs(*parts: tuple[FiniteSource, float], seed: int = 42) -> EpochMixture:
    """A mixture of (source, epochs) pairs.

    Raises:
        ConfigError: if so many epochs of a source are not one sample.
    """
    counted: list[tuple[Source, float]] = []
    for source, epochs in parts:
        count = round(len(source) * epochs)
        if count < 1:
            raise ConfigError(f"{epochs:g} epochs of {len(source)} samples are not one sample.")
        counted.append((source, count))
    return EpochMixture(parts=tuple(counted), seed=seed)
