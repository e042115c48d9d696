"""Samples to one batch: side by side and padded, or end to end in one row.

B rows, N text positions, S visual items.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kinema.errors import InputError
from kinema.processors.inputs import ModelInputs, VisualInputs
from kinema.processors.labels import IGNORE_INDEX


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One conversation as tensors."""

    input_ids: Tensor
    """(N,) int64."""
    visual_mask: Tensor
    """(N,) bool, True at placeholders."""
    labels: Tensor | None = None
    """(N,) int64."""
    visual: VisualInputs | None = None
    """None for text alone."""
    is_cut: bool = False
    """Whether its end was cut off, see ``cut_sample``."""

    def __post_init__(self) -> None:
        features = 0 if self.visual is None else _kept_tokens(self.visual)
        if int(self.visual_mask.sum()) != features:
            raise InputError(
                f"the prompt has {int(self.visual_mask.sum())} placeholders for {features} visual tokens; "
                "they have to be as many."
            )


def pad_samples(samples: Sequence[Sample], pad_id: int) -> ModelInputs:
    """One row a sample, padded on the right.

    Args:
        samples: at least one; all of them with labels, or none.
        pad_id: token that fills the rows.

    Raises:
        InputError: if there is no sample, or only some have labels.
    """
    labels = _all_labels(samples)
    lengths = torch.tensor([len(sample.input_ids) for sample in samples])
    positions = torch.arange(int(lengths.max()))
    is_real = positions < lengths[:, None]  # (B, N)
    return ModelInputs(
        input_ids=pad_sequence([s.input_ids for s in samples], batch_first=True, padding_value=pad_id),
        position_ids=torch.where(is_real, positions, 0),
        attention_mask=None if is_real.all() else is_real,
        labels=None if labels is None else pad_sequence(labels, batch_first=True, padding_value=IGNORE_INDEX),
        visual=_join_visuals(samples),
        visual_mask=pad_sequence([s.visual_mask for s in samples], batch_first=True, padding_value=0.0),
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


def join_visuals(visuals: Sequence[VisualInputs]) -> VisualInputs:
    """Items of several samples, in order; the mask is None only where nothing is pruned anywhere."""
    masks = None
    if any(visual.keep_mask is not None for visual in visuals):
        masks = torch.cat([_keep_mask(visual) for visual in visuals])
    return VisualInputs(
        pixel_values=torch.cat([visual.pixel_values for visual in visuals]),
        grid_thw=torch.cat([visual.grid_thw for visual in visuals]),
        merge_sizes=torch.cat([visual.merge_sizes for visual in visuals]),
        keep_mask=masks,
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


def _join_visuals(samples: Sequence[Sample]) -> VisualInputs | None:
    visuals = [sample.visual for sample in samples if sample.visual is not None]
    return join_visuals(visuals) if visuals else None


def _keep_mask(visual: VisualInputs) -> Tensor:
    if visual.keep_mask is not None:
        return visual.keep_mask
    return torch.ones(int(visual.tokens_per_item.sum()), dtype=torch.bool)


def _kept_tokens(visual: VisualInputs) -> int:
    return int(visual.tokens_per_item.sum() if visual.keep_mask is None else visual.keep_mask.sum())
