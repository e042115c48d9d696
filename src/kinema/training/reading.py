"""One sample after another, drawn and encoded, each for itself: a bad one is no matter to others.

It happens in the training process or in the loader's, and where a limit of time is set, in one that each of
these watches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch.utils.data import Dataset

from kinema.datasets.mixture import Mixture
from kinema.processors.messages import Conversation, TextPart, VideoFrame
from kinema.training.bad_samples import BAD, BadSample
from kinema.training.packing import Packing
from kinema.training.watched import Watched

Drawn = tuple[int, int]
"""A sample's place, counted over all batches of the run, and its number."""


@runtime_checkable
class ReadsOneByOne(Protocol):
    """A processor that encodes samples each for itself, and puts them together afterwards."""

    def read(self, conversation: Conversation) -> Any:
        """One conversation as tensors, with labels."""

    def collate(self, samples: Sequence[Any]) -> Any:
        """A batch of several that were read."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Samples of a mixture by place and number, each number with a generator of its own.

    Seeds are those of places: a sample that comes again, in the next round or in its own batch, is the same,
    and what a processor draws of it is not.
    """

    data: Mixture
    entropy: tuple[int, ...]
    """Of the run and the stage."""

    def __call__(self, drawn: Drawn) -> Conversation:
        """The conversation at a place."""
        place, index = drawn
        talk = self.data.sample(index, np.random.default_rng((*self.entropy, index)))
        if talk.seed is not None:
            return talk
        return replace(talk, seed=int(np.random.default_rng((*self.entropy, index, place)).integers(2**63)))


class Samples(Dataset[Any]):
    """Samples as a processor reads them, or a ``BadSample`` in the place of one that cannot be read.

    Where the processor takes whole batches only, they are conversations, and what is wrong with them ends the
    run when the batch is made.
    """

    def __init__(
        self, drawing: Drawing, processor: Any, packing: Packing | None, timeout_s: float | None
    ) -> None:
        self.drawing, self.processor, self.packing = drawing, processor, packing
        self._told = self._tell if timeout_s is None else Watched(self._tell, timeout_s)

    def __getitem__(self, drawn: Drawn) -> Any:
        media: tuple[str, ...] = ()
        sample: Any = None
        try:
            for told in self._told(drawn):
                if isinstance(told, _Media):
                    media = told.names
                else:
                    sample = told
        except BAD as error:
            return BadSample.of(error, drawn[1], media)
        return sample

    def close(self) -> None:
        """End the process that is watched, if one is."""
        if isinstance(self._told, Watched):
            self._told.close()

    def _tell(self, drawn: Drawn) -> "Iterator[_Media | Any]":
        """First what the sample shows, so that it can be named, then the sample."""
        talk = self.drawing(drawn)
        yield _Media(tuple(_names(talk)))
        if not isinstance(self.processor, ReadsOneByOne):
            yield talk
            return
        sample = self.processor.read(talk)
        yield sample if self.packing is None else self.packing.fit(sample)


@dataclass(frozen=True)
class _Media:
    names: tuple[str, ...]


def _names(talk: Conversation) -> Iterator[str]:
    for part in (part for message in talk.messages for part in message.parts):
        source = None if isinstance(part, TextPart) else part.source
        if isinstance(source, VideoFrame):
            source = source.source
        if isinstance(source, str | PathLike):
            yield str(source)
        elif isinstance(source, list | tuple):
            yield from map(str, source)
