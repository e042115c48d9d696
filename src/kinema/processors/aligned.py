"""Clips and sounds with their captions: what stage 2 of InternVideo2 learns from.

B samples, T frames, H W pixels, L frames of sound, N text positions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.processors.text_inputs import TextInputs


@dataclass(frozen=True, kw_only=True)
class AlignedInputs:
    """One batch, all of the same media; row i of everything is about the same."""

    pixel_values: Tensor | None
    """(B, T, 3, H, W), normalised; None for sound alone."""
    audio_features: Tensor | None = None
    """(B, L, mel bins); None for what has no sound."""
    captions: Mapping[str, TextInputs]
    """Each of B texts, by what it tells of: such as ``video``, ``audio``, ``av`` or ``avs``, which adds what
    is said. One alone may have any name."""
    ids: Tensor
    """(B,) int64: samples of one id belong to one another's captions too."""

    def __post_init__(self) -> None:
        media = [rows for rows in (self.pixel_values, self.audio_features) if rows is not None]
        texts = [text.input_ids for text in self.captions.values()]
        if not media or not texts:
            raise InputError("a batch needs clips or sounds, and captions of them.")
        counts = {len(rows) for rows in (*media, *texts, self.ids)}
        if len(counts) > 1:
            raise InputError(f"a batch needs as many media, captions and ids; there are {sorted(counts)}.")

    @property
    def input_ids(self) -> Tensor:
        """(B, N), of the first captions."""
        return next(iter(self.captions.values())).input_ids

    def to(self, device: torch.device | str) -> "AlignedInputs":
        """The same on a device."""
        return AlignedInputs(
            pixel_values=None if self.pixel_values is None else self.pixel_values.to(device),
            audio_features=None if self.audio_features is None else self.audio_features.to(device),
            captions={name: text.to(device) for name, text in self.captions.items()},
            ids=self.ids.to(device),
        )
