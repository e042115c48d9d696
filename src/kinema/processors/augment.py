"""What training does to a clip before a network sees it: change, crop, mirror, normalise, partly erase.

Every frame of a clip gets the same; all of it is drawn from one generator. The settings of published runs
stand in their recipes. T frames, H W pixels, S side of the square.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import ConfigError, InputError
from kinema.processors.rand_augment import RandAugment
from kinema.processors.random_crops import RandomCrop
from kinema.processors.square_pixels import normalised


@dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """Noise in a rectangle, of the same place in every frame (arXiv 1708.04896; timm's ``pixel`` mode)."""

    share: float = 0.25
    """How often."""
    min_area: float = 0.02
    max_area: float = 1 / 3
    """Of the rectangle, as shares of the frame's."""
    max_aspect: float = 1 / 0.3
    """Longer side over the shorter, at most."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or not 0 < self.min_area <= self.max_area < 1 or self.max_aspect < 1:
            raise ConfigError(f"shares lie from 0 to 1 and max_aspect from 1, got {self}.")

    def __call__(self, pixel_values: Tensor, rng: np.random.Generator) -> Tensor:
        """Erase in normalised pixels, (T, 3, H, W), or not; noise is of mean 0 and deviation 1."""
        if rng.random() >= self.share:
            return pixel_values
        height, width = pixel_values.shape[-2:]
        for _ in range(100):
            area = rng.uniform(self.min_area, self.max_area) * height * width
            aspect = math.exp(rng.uniform(-1.0, 1.0) * math.log(self.max_aspect))
            rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if rows < height and columns < width:
                break
        else:
            return pixel_values
        top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
        noise = rng.standard_normal((*pixel_values.shape[:2], rows, columns), dtype=np.float32)
        erased = pixel_values.clone()
        erased[..., top : top + rows, left : left + columns] = torch.from_numpy(noise)
        return erased


@dataclass(frozen=True, kw_only=True)
class ClipAugmentation:
    """One way to do it; what is None is left out."""

    crop: RandomCrop
    flip_share: float = 0.5
    """How often a clip is mirrored; 0 where left and right are what it is about."""
    rand_augment: RandAugment | None = None
    erasing: RandomErasing | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.flip_share <= 1:
            raise ConfigError(f"flip_share goes from 0 to 1, got {self.flip_share}.")

    def __call__(
        self, frames: NDArray[np.uint8], size: int, rng: np.random.Generator, *, may_flip: bool = True
    ) -> Tensor:
        """Draw one view of a clip.

        Args:
            frames: (T, H, W, 3) RGB.
            size: S.
            rng: from which everything is drawn.
            may_flip: whether this clip may be mirrored.

        Returns:
            (T, 3, S, S) float32, normalised.

        Raises:
            InputError: if the frames are no such array, or there is none.
        """
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or frames.size == 0:
            raise InputError(f"a clip must be uint8 (T, H, W, 3) RGB, got {frames.dtype} {frames.shape}.")
        if self.rand_augment is not None:
            frames = self.rand_augment(frames, rng)
        levels = self.crop(frames, size, rng)
        if rng.random() < self.flip_share and may_flip:
            levels = levels.flip(-1)
        pixel_values = normalised(levels)
        return pixel_values if self.erasing is None else self.erasing(pixel_values, rng)
