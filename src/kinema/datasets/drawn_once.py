"""Samples that are drawn once: shown again, they are cropped and cut as before."""

from dataclasses import dataclass, replace

import numpy as np

from kinema.datasets.mixture import Source
from kinema.processors.messages import Conversation


@dataclass(frozen=True, kw_only=True)
class DrawnOnce:
    """Another source, of whose samples a processor draws the same frames and crops in every round.

    What teachers' features on disk need (``training.teacher_cache``): a clip that is cropped anew each time
    is never found there again.
    """

    source: Source
    seed: int = 0

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """The sample of that number, with a seed of that number."""
        seed = np.random.default_rng([self.seed, index]).integers(2**63)
        return replace(self.source.sample(index, rng), seed=int(seed))
