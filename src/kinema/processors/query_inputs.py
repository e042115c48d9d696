"""Media of which a fixed number of tokens is made, as one or several views of each: images, clips, sounds.

V views, T frames, H W pixels, L frames of 10 ms, M mel bins, Q tokens of a view, N visual tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.processors.inputs import first_true
from kinema.processors.square_pixels import MEAN, STD


@dataclass(frozen=True, kw_only=True)
class Views(ABC):
    """Media of one call, in the order of their placeholders."""

    items: tuple[Tensor, ...]
    """(V, ...) each."""
    tokens_per_view: int
    """Q."""
    keep_mask: Tensor | None = None
    """(N,) bool: False where a token has no placeholder, because its sample was cut; None where all have."""

    @property
    def num_tokens(self) -> int:
        """Visual tokens that are kept; each has a placeholder."""
        return int(self._full_mask().sum())

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move to a device; ``dtype`` changes the views only."""
        keep = None if self.keep_mask is None else self.keep_mask.to(device)
        items = tuple(views.to(device=device, dtype=dtype) for views in self.items)
        return replace(self, items=items, keep_mask=keep)

    @classmethod
    def join(cls, visuals: Sequence[Self]) -> Self:
        """Items of several samples, in order."""
        masks = None
        if any(visual.keep_mask is not None for visual in visuals):
            masks = torch.cat([visual._full_mask() for visual in visuals])
        return cls(
            items=tuple(views for visual in visuals for views in visual.items),
            tokens_per_view=visuals[0].tokens_per_view,
            keep_mask=masks,
        )

    def first_tokens(self, num_tokens: int) -> Self | None:
        """What is left of a sample that is cut after so many of its kept tokens; None for none."""
        return replace(self, keep_mask=first_true(self._full_mask(), num_tokens)) if num_tokens else None

    @abstractmethod
    def frames(self, index: int) -> NDArray[np.uint8]:
        """What the model takes in of an item, as pictures (T, H, W, 3)."""

    def kept(self, index: int) -> NDArray[np.bool_]:
        """(V, 1, Q) of tokens, True where the model reads one; a token is no place in a picture."""
        mask = self._full_mask().split([len(views) * self.tokens_per_view for views in self.items])[index]
        kept: NDArray[np.bool_] = mask.view(-1, 1, self.tokens_per_view).cpu().numpy()
        return kept

    def _full_mask(self) -> Tensor:
        if self.keep_mask is not None:
            return self.keep_mask
        return torch.ones(sum(map(len, self.items)) * self.tokens_per_view, dtype=torch.bool)


@dataclass(frozen=True, kw_only=True)
class QueryInputs(Views):
    """Images and clips: items of (V, T, 3, H, W), normalised, T 1 for an image; the last view shows all."""

    def frames(self, index: int) -> NDArray[np.uint8]:
        """What the model sees of all of an item, (T, H, W, 3)."""
        mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
        levels = (self.items[index][-1].float().cpu() * std + mean) * 255
        pixels: NDArray[np.uint8] = levels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        return pixels


@dataclass(frozen=True, kw_only=True)
class SoundInputs(Views):
    """Sounds: items of (V, L, M), normalised filter banks of stretches of one length."""

    def frames(self, index: int) -> NDArray[np.uint8]:
        """The filter bank of each stretch, (V, M, L, 3): time to the right, bins upwards, loud is bright."""
        bank = self.items[index].float().cpu()
        quiet, loud = bank.min(), bank.max()
        levels = (bank - quiet) / (loud - quiet).clamp(min=1e-6) * 255
        picture = levels.round().byte().transpose(1, 2).flip(1)  # (V, M, L)
        pixels: NDArray[np.uint8] = picture[..., None].expand(-1, -1, -1, 3).numpy()
        return np.ascontiguousarray(pixels)
