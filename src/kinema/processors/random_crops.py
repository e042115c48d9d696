"""Squares cut from a clip at random: the same place in every frame, brought to one size.

Two rules, each with the resampling of its published code. T frames, H W pixels, S side of the square.
"""

import math
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ConfigError
from kinema.processors.square_pixels import resize_levels


class Box(NamedTuple):
    """A part of a frame, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """That part of (T, H, W, 3)."""
        return frames[:, self.top : self.top + self.height, self.left : self.left + self.width]


class RandomCrop(Protocol):
    """A rule by which a part of a clip is drawn."""

    def __call__(self, frames: NDArray[np.uint8], size: int, rng: np.random.Generator) -> Tensor:
        """(T, H, W, 3) to levels from 0 to 255, (T, 3, S, S) float32."""


@dataclass(frozen=True, kw_only=True)
class MultiScaleCrop:
    """One of some sizes at one of 13 places: corners, middles and quarters (arXiv 1507.02159).

    InternVideo2's stage 1 (OpenGVLab/InternVideo ``transforms.py``); Pillow resamples, bilinear, one
    direction at a time.
    """

    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    """Sides, as shares of the shorter side of a frame, in order; the sides of a box are the same or
    neighbours."""

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise ConfigError(f"scales must lie above 0 and up to 1, got {self.scales}.")

    def __call__(self, frames: NDArray[np.uint8], size: int, rng: np.random.Generator) -> Tensor:
        """As of ``RandomCrop``."""
        boxes = self.boxes(frames.shape[1], frames.shape[2], size)
        cut = boxes[rng.integers(len(boxes))][rng.integers(_NUM_PLACES)].cut(frames)
        squares = np.stack([_resampled(Image.fromarray(frame), size) for frame in cut])
        return _levels(squares)

    def boxes(self, height: int, width: int, size: int) -> list[list[Box]]:
        """What may be cut from a frame: for each pair of sides, its places.

        Args:
            height: H.
            width: W.
            size: S; sides less than 3 pixels from it become it, so that nothing is resampled for so little.
        """
        sides = [max(1, int(min(height, width) * scale)) for scale in self.scales]
        snapped = [size if abs(side - size) < 3 and size <= min(height, width) else side for side in sides]
        numbered = list(enumerate(snapped))
        return [
            _places(height, width, rows, columns)
            for (i, rows), (j, columns) in product(numbered, numbered)
            if abs(i - j) <= 1
        ]


@dataclass(frozen=True, kw_only=True)
class AreaCrop:
    """A box of any share of the frame's area and nearly square, anywhere; a random resized crop.

    Of what is too long or too narrow for ten such draws, the middle. Bilinear keeps fractions of levels, as
    fine-tuning (PySlowFast's code); bicubic rounds them, as torchvision does in stage 2. Neither has an
    antialias.
    """

    min_area: float = 0.08
    """Smallest share of the area; the largest is all of it."""
    max_aspect: float = 4 / 3
    """Longer side over the shorter, at most."""
    resampling: Literal["bilinear", "bicubic"] = "bilinear"

    def __post_init__(self) -> None:
        if not 0 < self.min_area <= 1 or self.max_aspect < 1:
            raise ConfigError(
                f"min_area must lie above 0 and up to 1 and max_aspect be 1 or more, got {self.min_area} and "
                f"{self.max_aspect}."
            )

    def __call__(self, frames: NDArray[np.uint8], size: int, rng: np.random.Generator) -> Tensor:
        """As of ``RandomCrop``."""
        levels = _levels(self.draw(frames.shape[1], frames.shape[2], rng).cut(frames))
        if self.resampling == "bicubic":
            return resize_levels(levels, (size, size))
        return F.interpolate(levels, (size, size), mode="bilinear", align_corners=False)

    def draw(self, height: int, width: int, rng: np.random.Generator) -> Box:
        """A box in a frame of H x W."""
        for _ in range(10):
            area = rng.uniform(self.min_area, 1.0) * height * width
            aspect = math.exp(rng.uniform(-1.0, 1.0) * math.log(self.max_aspect))
            rows, columns = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if 0 < rows <= height and 0 < columns <= width:
                top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
                return Box(int(top), int(left), rows, columns)
        rows = min(height, round(width * self.max_aspect))
        columns = min(width, round(height * self.max_aspect))
        return Box((height - rows) // 2, (width - columns) // 2, rows, columns)


_NUM_PLACES = 13


def _places(height: int, width: int, rows: int, columns: int) -> list[Box]:
    """Nine on a grid of thirds, and four between them."""
    down, right = (height - rows) // 4, (width - columns) // 4
    quarters = [*product((0, 2, 4), repeat=2), *product((1, 3), repeat=2)]
    return [Box(y * down, x * right, rows, columns) for y, x in quarters]


def _resampled(picture: Image.Image, size: int) -> NDArray[np.uint8]:
    """The width first, then the height, as every Pillow before 13 has it."""
    wide = picture.resize((size, picture.height), Image.Resampling.BILINEAR)
    return np.asarray(wide.resize((size, size), Image.Resampling.BILINEAR))


def _levels(frames: NDArray[np.uint8]) -> Tensor:
    """(T, H, W, 3) of 8 bits to (T, 3, H, W) float32."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
