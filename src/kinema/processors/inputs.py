"""What a model takes: token ids, visual patches, and which placeholder stands for which feature.

B rows, N text positions, P packed patches, M visual tokens after merging, S visual items, p patch side.
"""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


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


@dataclass(frozen=True, kw_only=True)
class ModelInputs:
    """One batch for a model's forward pass.

    Rows are padded on the right. A row may hold several samples end to end: then ``segment_lengths``
    says how long each is, and attention never crosses from one to the next.
    """

    input_ids: Tensor
    """(B, N) int64; pruned visual tokens have no placeholder."""
    position_ids: Tensor
    """(B, N) int64; restarts at 0 in every packed sample."""
    attention_mask: Tensor | None = None
    """(B, N) bool, True where a token is real; None where all are."""
    labels: Tensor | None = None
    """(B, N) int64, -100 where no loss falls."""
    visual: VisualInputs | None = None
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
            elif isinstance(value, VisualInputs):
                moved[field.name] = value.to(device, dtype)
        return replace(self, **moved)  # type: ignore[arg-type]
