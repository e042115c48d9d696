"""Images and clips of which a fixed number of tokens is made, as one or several views of each.

V views, T frames, H W pixels, Q tokens of a view, M visual tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.processors.inputs import first_true
from kinema.processors.square_pixels import MEAN, STD


@dataclass(frozen=True, kw_only=True)
class QueryInputs:
    """Images and clips of one call, in the order of their placeholders."""

    items: tuple[Tensor, ...]
    """(V, T, 3, H, W) each, normalised; T is 1 for an image. The last view shows all of it."""
    tokens_per_view: int
    """Q."""
    keep_mask: Tensor | None = None
    """(M,) bool: False where a token has no placeholder, because its sample was cut; None where all have."""

    @property
    def num_tokens(self) -> int:
        """Visual tokens that are kept; each has a placeholder."""
        return int(self._full_mask().sum())

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "QueryInputs":
        """Move to a device; ``dtype`` changes the pixels only."""
        keep = None if self.keep_mask is None else self.keep_mask.to(device)
        items = tuple(views.to(device=device, dtype=dtype) for views in self.items)
        return replace(self, items=items, keep_mask=keep)

    @classmethod
    def join(cls, visuals: "Sequence[QueryInputs]") -> "QueryInputs":
        """Items of several samples, in order."""
        masks = None
        if any(visual.keep_mask is not None for visual in visuals):
            masks = torch.cat([visual._full_mask() for visual in visuals])
        return cls(
            items=tuple(views for visual in visuals for views in visual.items),
            tokens_per_view=visuals[0].tokens_per_view,
            keep_mask=masks,
        )

    def first_tokens(self, num_tokens: int) -> "QueryInputs | None":
        """What is left of a sample that is cut after so many of its kept tokens; None for none."""
        return replace(self, keep_mask=first_true(self._full_mask(), num_tokens)) if num_tokens else None

    def frames(self, index: int) -> NDArray[np.uint8]:
        """What the model sees of all of an item, (T, H, W, 3)."""
        mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
        levels = (self.items[index][-1].float().cpu() * std + mean) * 255
        pixels: NDArray[np.uint8] = levels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        return pixels

    def kept(self, index: int) -> NDArray[np.bool_]:
        """(V, 1, Q) of tokens, True where the model reads one; a token is no place in a picture."""
        mask = self._full_mask().split([len(views) * self.tokens_per_view for views in self.items])[index]
        kept: NDArray[np.bool_] = mask.view(-1, 1, self.tokens_per_view).cpu().numpy()
        return kept

    def _full_mask(self) -> Tensor:
        if self.keep_mask is not None:
            return self.keep_mask
        return torch.ones(sum(map(len, self.items)) * self.tokens_per_view, dtype=torch.bool)
