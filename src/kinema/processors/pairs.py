"""Pictures, clips or sounds, each with its text: what a contrastive loss learns from.

B pairs, T frames, H W pixels, N text positions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.errors import InputError


@dataclass(frozen=True, kw_only=True)
class PairInputs:
    """One batch; row i of the pixels belongs to row i of the texts."""

    pixel_values: Tensor
    """(B, T, 3, H, W), normalised."""
    input_ids: Tensor
    """(B, N) int64, padded on the right; the end of a text is the largest id of the vocabulary."""

    def __post_init__(self) -> None:
        if len(self.pixel_values) != len(self.input_ids):
            raise InputError(
                f"{len(self.pixel_values)} pictures or clips and {len(self.input_ids)} texts make no pairs."
            )

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "PairInputs":
        """Move to a device; ``dtype`` changes the pixels only."""
        pixels = self.pixel_values.to(device=device, dtype=dtype)
        return PairInputs(pixel_values=pixels, input_ids=self.input_ids.to(device))
