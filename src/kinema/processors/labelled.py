"""Clips and the class of each: what action recognition learns from. B clips, T frames, H W pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.errors import InputError


@dataclass(frozen=True, kw_only=True)
class LabelledClips:
    """One batch."""

    pixel_values: Tensor
    """(B, T, 3, H, W), normalised."""
    labels: Tensor
    """(B,) int64, the number of each clip's class."""

    def __post_init__(self) -> None:
        if self.labels.shape != self.pixel_values.shape[:1]:
            raise InputError(
                f"{len(self.pixel_values)} clips need a label each, got labels of {tuple(self.labels.shape)}."
            )

    @property
    def input_ids(self) -> Tensor:
        """(B, 1), a class a clip, for whoever counts."""
        return self.labels[:, None]

    def to(self, device: torch.device | str) -> "LabelledClips":
        """The same on a device."""
        return LabelledClips(pixel_values=self.pixel_values.to(device), labels=self.labels.to(device))
