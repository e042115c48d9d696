"""What the published runs learned from: names and counts, for whoever plans a run without the files."""

from dataclasses import dataclass

import numpy as np

from kinema.datasets.mixture import Mixture, mixture
from kinema.errors import DataError
from kinema.processors.messages import Conversation


@dataclass(frozen=True, kw_only=True)
class DataGroup:
    """Data sets of one kind in a stage. It has no samples of its own: asked for one, it says what to do."""

    kind: str
    names: tuple[str, ...]
    num_samples: int
    not_public: tuple[str, ...] = ()
    """Which of the names their makers keep to themselves."""

    def __len__(self) -> int:
        return self.num_samples

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """Raise ``DataError``: the samples are elsewhere."""
        raise DataError(
            f"the published {self.kind} data ({', '.join(self.names)}) are not here; bring files of your own "
            "with --data STAGE=FILE, or take a look with --dry-run."
        )


@dataclass(frozen=True, kw_only=True)
class PublishedData:
    """What one stage learned from, each group in proportion to its size."""

    groups: tuple[DataGroup, ...]

    def __len__(self) -> int:
        return sum(map(len, self.groups))

    def as_mixture(self) -> Mixture:
        """The groups as sources, weighed by their sizes."""
        return mixture(*((group, float(len(group))) for group in self.groups))


def data(kind: str, millions: float, *names: str, not_public: tuple[str, ...] = ()) -> DataGroup:
    """A group, counted in millions of samples as papers do."""
    return DataGroup(kind=kind, names=names, num_samples=round(millions * 1e6), not_public=not_public)
