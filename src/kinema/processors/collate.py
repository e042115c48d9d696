"""Samples to one batch: side by side and padded, or end to end in one row.

B rows, N text positions, S visual items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kinema.errors import InputError
from kinema.processors.inputs import ModelInputs, Visual
from kinema.processors.labels import IGNORE_INDEX

PaddingSide = Literal["right", "left"]
"""Where short rows are filled up."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One conversation as tensors."""

    input_ids: Tensor
    """(N,) int64."""
    visual_mask: Tensor
    """(N,) bool, True at placeholders."""
    labels: Tensor | None = None
    """(N,) int64."""
    visual: Visual | None = None
    """None for text alone."""
    is_cut: bool = False
    """Whether its end was cut off, see ``cut_sample``."""

    def __post_init__(self) -> None:
        features = 0 if self.visual is None else self.visual.num_tokens
        if int(self.visual_mask.sum()) != features:
            raise InputError(
                f"the prompt has {int(self.visual_mask.sum())} placeholders for {features} visual tokens; "
                "they have to be as many."
            )


def pad_samples(samples: Sequence[Sample], pad_id: int, *, side: PaddingSide = "right") -> ModelInputs:
    """One row a sample, padded on a side.

    Args:
        samples: at least one; all of them with labels, or none.
        pad_id: token that fills the rows.
        side: where. Positions count from the first real token; those of padding are 0.

    Raises:
        InputError: if there is no sample, or only some have labels.
    """
    labels = _all_labels(samples)
    lengths = torch.tensor([len(sample.input_ids) for sample in samples])[:, None]
    longest = int(lengths.max())
    places = torch.arange(longest).expand(len(samples), -1)
    positions = places if side == "right" else places - (longest - lengths)
    is_real = (positions >= 0) & (positions < lengths)  # (B, N)

    def padded(rows: Sequence[Tensor], value: float) -> Tensor:
        return pad_sequence(list(rows), batch_first=True, padding_value=value, padding_side=side)

    return ModelInputs(
        input_ids=padded([sample.input_ids for sample in samples], pad_id),
        position_ids=torch.where(is_real, positions, 0),
        attention_mask=None if is_real.all() else is_real,
        labels=None if labels is None else padded(labels, IGNORE_INDEX),
        visual=_join_visuals(samples),
        visual_mask=padded([sample.visual_mask for sample in samples], 0.0),
        num_cut=sum(sample.is_cut for sample in samples),
    )


def pack_samples(samples: Sequence[Sample]) -> ModelInputs:
    """All samples end to end in one row; positions restart, and attention does not cross.

    The first label of each sample is taken away, because the token before it belongs to another sample.

    Raises:
        InputError: if there is no sample, or only some have labels.
    """
    labels = _all_labels(samples)
    if labels is not None:
        labels = [torch.cat([torch.tensor([IGNORE_INDEX]), sample[1:]]) for sample in labels]
    return ModelInputs(
        input_ids=torch.cat([sample.input_ids for sample in samples])[None],
        position_ids=torch.cat([torch.arange(len(sample.input_ids)) for sample in samples])[None],
        labels=None if labels is None else torch.cat(labels)[None],
        visual=_join_visuals(samples),
        visual_mask=torch.cat([sample.visual_mask for sample in samples])[None],
        segment_lengths=tuple(len(sample.input_ids) for sample in samples),
        num_cut=sum(sample.is_cut for sample in samples),
    )


def _all_labels(samples: Sequence[Sample]) -> list[Tensor] | None:
    if not samples:
        raise InputError("a batch needs at least one sample.")
    labels = [sample.labels for sample in samples if sample.labels is not None]
    if labels and len(labels) < len(samples):
        raise InputError(
            f"{len(labels)} of {len(samples)} samples have labels; give all or none of them labels."
        )
    return labels or None


def _join_visuals(samples: Sequence[Sample]) -> Visual | None:
    visuals = [sample.visual for sample in samples if sample.visual is not None]
    return type(visuals[0]).join(visuals) if visuals else None
