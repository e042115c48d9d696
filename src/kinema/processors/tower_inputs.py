"""What models take that have a tower for each modality: whole frames, item by item.

S items, T frames, H W pixels, M visual tokens, m merge size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.processors.clip_pixels import MEAN, STD
from kinema.processors.inputs import first_true


@dataclass(frozen=True, kw_only=True)
class TowerItem:
    """One image, clip or other signal."""

    modality: str
    """Which tower sees it."""
    pixel_values: Tensor
    """(T, 3, H, W), normalised; T is 1 for whatever has no frames."""
    grid: tuple[int, int]
    """Rows and columns of patches of a frame."""
    merge_size: int = 1
    """Patches per side that are averaged into one token behind the tower."""
    has_class_token: bool = False
    """Whether the class token of each frame is read too, before those of its patches."""

    @property
    def tokens_per_frame(self) -> int:
        """Class token and merged patches."""
        rows, columns = self.grid
        return int(self.has_class_token) + (rows // self.merge_size) * (columns // self.merge_size)

    @property
    def num_tokens(self) -> int:
        """Of all frames."""
        return len(self.pixel_values) * self.tokens_per_frame


@dataclass(frozen=True, kw_only=True)
class TowerInputs:
    """Images, clips and other signals of one call, in the order of their placeholders."""

    items: tuple[TowerItem, ...]
    keep_mask: Tensor | None = None
    """(M,) bool: False where a token has no placeholder, because its sample was cut; None where all have."""

    @property
    def num_tokens(self) -> int:
        """Visual tokens that are kept; each has a placeholder."""
        return int(self._full_mask().sum())

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "TowerInputs":
        """Move to a device; ``dtype`` changes the pixels only."""
        items = [
            replace(item, pixel_values=item.pixel_values.to(device=device, dtype=dtype))
            for item in self.items
        ]
        keep = None if self.keep_mask is None else self.keep_mask.to(device)
        return TowerInputs(items=tuple(items), keep_mask=keep)

    @classmethod
    def join(cls, visuals: "Sequence[TowerInputs]") -> "TowerInputs":
        """Items of several samples, in order."""
        masks = None
        if any(visual.keep_mask is not None for visual in visuals):
            masks = torch.cat([visual._full_mask() for visual in visuals])
        return cls(items=tuple(item for visual in visuals for item in visual.items), keep_mask=masks)

    def first_tokens(self, num_tokens: int) -> "TowerInputs | None":
        """What is left of a sample that is cut after so many of its kept tokens; None for none."""
        return replace(self, keep_mask=first_true(self._full_mask(), num_tokens)) if num_tokens else None

    def frames(self, index: int) -> NDArray[np.uint8]:
        """What the model sees of an item, (T, H, W, 3)."""
        mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
        levels = (self.items[index].pixel_values.float().cpu() * std + mean) * 255
        pixels: NDArray[np.uint8] = levels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        return pixels

    def kept(self, index: int) -> NDArray[np.bool_]:
        """(T, rows, columns) of tokens of an item, True where the model reads one; class tokens left out."""
        item = self.items[index]
        rows, columns = (side // item.merge_size for side in item.grid)
        mask = self._full_mask().split([item.num_tokens for item in self.items])[index]
        by_frame = mask.unflatten(0, (len(item.pixel_values), -1))[:, int(item.has_class_token) :]
        kept: NDArray[np.bool_] = by_frame.unflatten(1, (rows, columns)).cpu().numpy()
        return kept

    def _full_mask(self) -> Tensor:
        if self.keep_mask is not None:
            return self.keep_mask
        return torch.ones(sum(item.num_tokens for item in self.items), dtype=torch.bool)
