"""Finite sources end to end, so that a number says which of them a sample is of."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from kinema.datasets.mixture import Source
from kinema.errors import ConfigError
from kinema.processors.messages import Conversation


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Sample i of the second source is number ``count of the first + i``."""

    parts: tuple[tuple[Source, int], ...]
    """Each with how many samples it has."""

    def __post_init__(self) -> None:
        if not self.parts or any(count < 1 for _, count in self.parts):
            raise ConfigError(f"sources that are joined need samples, got {self.counts}.")

    def __len__(self) -> int:
        return sum(self.counts)

    @property
    def counts(self) -> tuple[int, ...]:
        """Samples of each source."""
        return tuple(count for _, count in self.parts)

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """The sample of that number; numbers beyond the last begin again."""
        ends = list(accumulate(self.counts))
        index %= ends[-1]
        place = bisect_right(ends, index)
        source, count = self.parts[place]
        return source.sample(index - ends[place] + count, rng)
