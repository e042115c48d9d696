"""What a model takes: token ids, visual patches, and which placeholder stands for which feature.

B rows, N text positions, P packed patches, M visual tokens after merging, S visual items, p patch side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.processors.patches import from_patches


class Visual(Protocol):
    """Images and videos of one call, as the encoders of a family take them, in the order of placeholders."""

    @property
    def num_tokens(self) -> int:
        """Visual tokens that are kept; each has a placeholder."""

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move to a device; ``dtype`` changes the pixels only."""

    @classmethod
    def join(cls, visuals: Sequence[Self]) -> Self:
        """Items of several samples, in order."""

    def first_tokens(self, num_tokens: int) -> Self | None:
        """What is left of a sample that is cut after so many of its kept tokens; None for none."""

    def frames(self, index: int) -> NDArray[np.uint8]:
        """What the model sees of an item, (T, H, W, 3), pruned blocks in mid-grey."""

    def kept(self, index: int) -> NDArray[np.bool_]:
        """(T, rows, columns) of tokens of an item, True where the model reads one."""


@dataclass(frozen=True, kw_only=True)
class VisualInputs:
    """Images and videos of one call, packed end to end in the order of their placeholders."""

    pixel_values: Tensor
    """(P, 3·p·p), normalised; block-major where an item merges more than one patch a token."""
    grid_thw: Tensor
    """(S, 3) int64: frames, rows and columns of patches of each item, before merging."""
    merge_sizes: Tensor
    """(S,) int64: patches per side folded into one token."""
    keep_mask: Tensor | None = None
    """(M,) bool: False where a token was pruned and has no placeholder; None where all are kept."""

    @property
    def num_tokens(self) -> int:
        """Visual tokens that are kept; each has a placeholder."""
        return int(self.tokens_per_item.sum() if self.keep_mask is None else self.keep_mask.sum())

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "VisualInputs":
        """Move to a device; ``dtype`` changes the pixels only."""
        keep = None if self.keep_mask is None else self.keep_mask.to(device)
        return VisualInputs(
            pixel_values=self.pixel_values.to(device=device, dtype=dtype),
            grid_thw=self.grid_thw.to(device),
            merge_sizes=self.merge_sizes.to(device),
            keep_mask=keep,
        )

    @property
    def tokens_per_item(self) -> Tensor:
        """(S,) visual tokens of each item before pruning."""
        return self.grid_thw.prod(-1) // self.merge_sizes**2

    @classmethod
    def join(cls, visuals: "Sequence[VisualInputs]") -> "VisualInputs":
        """Items of several samples, in order; the mask is None only where nothing is pruned anywhere."""
        masks = None
        if any(visual.keep_mask is not None for visual in visuals):
            masks = torch.cat([visual.full_mask() for visual in visuals])
        return cls(
            pixel_values=torch.cat([visual.pixel_values for visual in visuals]),
            grid_thw=torch.cat([visual.grid_thw for visual in visuals]),
            merge_sizes=torch.cat([visual.merge_sizes for visual in visuals]),
            keep_mask=masks,
        )

    def first_tokens(self, num_tokens: int) -> "VisualInputs | None":
        """What is left of a sample that is cut after so many of its kept tokens; None for none."""
        return replace(self, keep_mask=first_true(self.full_mask(), num_tokens)) if num_tokens else None

    def frames(self, index: int) -> NDArray[np.uint8]:
        """What the model sees of an item, (T, H, W, 3), pruned blocks in mid-grey."""
        patches = self.grid_thw.prod(-1).tolist()
        rows = self.pixel_values.split(patches)[index].clone()
        merge_size = int(self.merge_sizes[index])
        if self.keep_mask is not None:
            keep = self.keep_mask.split(self.tokens_per_item.tolist())[index]
            rows[~keep.repeat_interleave(merge_size**2)] = 0.0
        frames, height, width = self.grid_thw[index].tolist()
        return from_patches(rows, (frames, height, width), merge_size=merge_size)

    def kept(self, index: int) -> NDArray[np.bool_]:
        """(T, rows, columns) of tokens of an item, True where the model reads one."""
        frames, rows, columns = self.grid_thw[index].tolist()
        merge_size = int(self.merge_sizes[index])
        keep = self.full_mask().split(self.tokens_per_item.tolist())[index]
        kept: NDArray[np.bool_] = keep.numpy().reshape(frames, rows // merge_size, columns // merge_size)
        return kept

    def full_mask(self) -> Tensor:
        """(M,) bool: ``keep_mask``, made where there is none."""
        if self.keep_mask is not None:
            return self.keep_mask
        return torch.ones(int(self.tokens_per_item.sum()), dtype=torch.bool)


def first_true(mask: Tensor, num_true: int) -> Tensor:
    """A mask with only the first of its true entries."""
    return mask & (mask.cumsum(-1) <= num_true)


@dataclass(frozen=True, kw_only=True)
class ModelInputs:
    """One batch for a model's forward pass.

    Rows are padded on the right, or on the left where ``attention_mask`` says so. A row may hold several
    samples end to end: then ``segment_lengths`` says how long each is, and attention never crosses from one
    to the next.
    """

    input_ids: Tensor
    """(B, N) int64; pruned visual tokens have no placeholder."""
    position_ids: Tensor
    """(B, N) int64; restarts at 0 in every packed sample."""
    attention_mask: Tensor | None = None
    """(B, N) bool, True where a token is real; None where all are."""
    labels: Tensor | None = None
    """(B, N) int64, -100 where no loss falls."""
    visual: Visual | None = None
    """None for text alone."""
    visual_mask: Tensor | None = None
    """(B, N) bool, True at the placeholders, as many as there are kept visual tokens."""
    segment_lengths: tuple[int, ...] | None = None
    """Lengths of the samples packed into a batch of one row; None where a row is a sample."""
    num_cut: int = 0
    """Samples of the batch whose end was cut off, because they were too long."""

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "ModelInputs":
        """Move every tensor to a device; ``dtype`` changes the pixels only."""
        moved: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                moved[field.name] = value.to(device)
        if self.visual is not None:
            moved["visual"] = self.visual.to(device, dtype)
        return replace(self, **moved)  # type: ignore[arg-type]
