"""Sources dealt like cards: in exact shares, and each of them sample after sample."""

from collections.abc import Sized
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.mixture import Mixture, Source, random_order
from kinema.errors import ConfigError
from kinema.processors.messages import Conversation


@dataclass(frozen=True, kw_only=True)
class DealtMixture(Mixture):
    """A mixture without end, of which every ``block`` samples have the same number of each source.

    A mixture whose sources are drawn sees some records of a finite source often and others late. Here a
    source gives one sample after the other, a finite one all of them before any comes again, each time in
    another order.
    """

    block: int = 1000
    """Samples that are dealt at a time; shares are rounded to one of them."""
    seed: int = 42

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block < 1 or min(self._quotas()) < 1:
            raise ConfigError(
                f"a block of {self.block} samples has room for {self._quotas()} of the sources with weights "
                f"{[weight for _, weight in self.parts]}; each needs one, so make the block larger."
            )

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """The sample of that number."""
        quotas = self._quotas()
        block, place = divmod(index, self.block)
        kinds = _deal(quotas, self.seed, block)
        kind = int(kinds[place])
        source, _ = self.parts[kind]
        number = block * quotas[kind] + int((kinds[:place] == kind).sum())
        if isinstance(source, Sized):
            turn, number = divmod(number, len(source))
            number = int(random_order(len(source), self.seed, kind, turn)[number])
        return source.sample(number, rng)

    def _quotas(self) -> tuple[int, ...]:
        """Samples of each source in a block, by largest remainders."""
        weights = np.array([weight for _, weight in self.parts])
        exact = weights / weights.sum() * self.block
        quotas = np.floor(exact).astype(int)
        quotas[np.argsort(quotas - exact, kind="stable")[: self.block - quotas.sum()]] += 1
        return tuple(quotas.tolist())


def dealt(*parts: tuple[Source, float], block: int = 1000, seed: int = 42) -> DealtMixture:
    """A mixture of (source, weight) pairs."""
    return DealtMixture(parts=parts, block=block, seed=seed)


@lru_cache(maxsize=16)
def _deal(quotas: tuple[int, ...], seed: int, block: int) -> NDArray[np.int64]:
    """The source of each place of a block."""
    return np.random.default_rng([seed, block]).permutation(np.repeat(np.arange(len(quotas)), quotas))
