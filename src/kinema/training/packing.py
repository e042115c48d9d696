"""Samples of a step laid end to end in rows of a budget of tokens, between which nothing is seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kinema.errors import ConfigError, InputError
from kinema.processors.collate import Sample
from kinema.processors.labels import IGNORE_INDEX


@dataclass(frozen=True, kw_only=True)
class Packing:
    """Rows without padding, in place of one padded row a sample; what is learned from a step is the same.

    The samples of a step, or a process's share of them, are packed among themselves, the longest first, each
    into the first row that has room. Which they are depends on the step alone, so a run that was stopped goes
    on exactly. Rows go through the model one after the other, and their gradients are those of the whole.
    """

    max_tokens: int
    """Most tokens of a row. A longer sample loses the text at its end; one whose images or videos reach
    beyond, or that has no label before, is a bad sample."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens of a pack must be at least 1, got {self.max_tokens}.")

    def fit(self, sample: Sample) -> Sample:
        """A sample that is no longer than a row.

        Raises:
            InputError: if it is longer, and not by text alone or not behind a label.
        """
        length = len(sample.input_ids)
        if length <= self.max_tokens:
            return sample
        labels = None if sample.labels is None else sample.labels[: self.max_tokens]
        if sample.visual_mask[self.max_tokens :].any():
            raise InputError(
                f"a sample of {length} tokens does not fit a pack of {self.max_tokens} without a cut through "
                "what it shows; raise max_tokens of the pack, or show less."
            )
        if labels is not None and (labels == IGNORE_INDEX).all():
            raise InputError(f"a sample of {length} tokens has no label among its first {self.max_tokens}.")
        return replace(
            sample,
            input_ids=sample.input_ids[: self.max_tokens],
            visual_mask=sample.visual_mask[: self.max_tokens],
            labels=labels,
            is_cut=True,
        )

    def rows(self, samples: Sequence[Sample]) -> list[list[Sample]]:
        """Samples that ``fit``, row by row."""
        lengths = [len(sample.input_ids) for sample in samples]
        return [[samples[place] for place in row] for row in first_fit_decreasing(lengths, self.max_tokens)]


def first_fit_decreasing(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Places of items, bin by bin: the longest first, each into the first bin with room.

    At most 11/9 of the fewest bins and two thirds of one more are filled (Dosa, 2007). Of two equal items the
    earlier comes first.

    Args:
        lengths: of each item, at most ``capacity``.
        capacity: of a bin.
    """
    bins: list[list[int]] = []
    room: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        length = lengths[place]
        index = next((index for index, left in enumerate(room) if left >= length), None)
        if index is None:
            bins.append([place])
            room.append(capacity - length)
        else:
            bins[index].append(place)
            room[index] -= length
    return bins
