"""Sources of samples, and mixtures of them in stated shares."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kinema.errors import ConfigError
from kinema.processors.messages import Conversation


class Source(Protocol):
    """Samples by number; the same number is always the same sample."""

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """The conversation of one sample, its choices drawn from ``rng``."""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Several sources, each drawn with a probability in proportion to its weight."""

    parts: tuple[tuple[Source, float], ...]

    def __post_init__(self) -> None:
        if not self.parts or any(weight <= 0 for _, weight in self.parts):
            raise ConfigError(f"a mixture needs sources with weights above 0, got {self.parts}.")

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """Draw a source, then its sample."""
        weights = np.array([weight for _, weight in self.parts])
        source, _ = self.parts[rng.choice(len(self.parts), p=weights / weights.sum())]
        return source.sample(index, rng)


@lru_cache(maxsize=16)
def random_order(num_samples: int, *entropy: int) -> NDArray[np.int64]:
    """The samples of a finite source in the order that a seed gives them, kept for the next one."""
    return np.random.default_rng(entropy).permutation(num_samples)


def mixture(*parts: tuple[Source, float]) -> Mixture:
    """A mixture of (source, weight) pairs."""
    return Mixture(parts=parts)
