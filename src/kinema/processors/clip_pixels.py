"""Pictures and frames to the normalised squares that the CLIP towers of LanguageBind and Video-LLaVA see.

Reproduces PKU-YuanGroup/Video-LLaVA (commit 984e65b) and LanguageBind, with the libraries their weights were
trained with: torchvision 0.15.2, pytorchvideo 0.1.5. Their random flip of videos is left out: it is drawn at
inference too, and turns left into right.

Letters: T frames, H W pixels, S side of the square.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ConfigError, InputError

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of each channel, on levels from 0 to 1; OpenAI's CLIP."""

PAD_COLOUR = (122, 116, 104)
"""``MEAN`` in whole levels, rounded down."""

ImageFit = Literal["crop", "pad"]
"""How a picture becomes a square: its long side is cut off, or its short side is filled up."""


@dataclass(frozen=True, kw_only=True)
class CLIPPixelsConfig:
    """How pictures become what a CLIP tower sees."""

    size: int = 224
    """S, pixels a side."""
    image_fit: ImageFit = "crop"
    """Of pictures: LanguageBind crops, Video-LLaVA pads since its second stage. Videos are cropped always."""
    antialias: bool = False
    """Whether pictures are shrunk with antialias, as torchvision does since 0.17. It changes the cubic's
    coefficient too, from -0.75 to -0.5, so enlarged pictures differ as well. The weights have not seen it."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"size must be at least 1 pixel, got {self.size}.")
        if self.image_fit not in ("crop", "pad"):
            raise ConfigError(f"image_fit must be 'crop' or 'pad', got {self.image_fit!r}.")


def image_pixels(picture: NDArray[np.uint8], config: CLIPPixelsConfig) -> Tensor:
    """Resize a picture bicubically, cut out its middle, and normalise it: in this order, without clamping.

    Args:
        picture: (H, W, 3) RGB.
        config: how.

    Returns:
        (3, S, S) float32.

    Raises:
        InputError: if it is no such picture.
    """
    _check_picture(picture)
    if config.image_fit == "pad":
        picture = pad_to_square(picture)
    # Cubic weights add up to one too: the small square is brought to [0, 1], not the large picture.
    return _normalised(_square(_levels(picture), config) / 255)


def plane_pixels(planes: Tensor, config: CLIPPixelsConfig) -> Tensor:
    """``image_pixels`` for what has levels between 0 and 1 already, such as depth: (3, H, W) to (3, S, S)."""
    return _normalised(_square(planes, config))


def video_pixels(frames: Iterable[NDArray[np.uint8]], *, size: int = 224) -> Tensor:
    """Normalise frames, resize them bilinearly without antialias, and cut out their middle.

    The original does it in this order. Bilinear weights add up to one, so the small squares are normalised
    here, at the end: the values differ by less than 1e-6, at a seventh of the time. One frame at a time is
    held in floating point.

    Args:
        frames: each (H, W, 3) RGB; an array (T, H, W, 3) is such a sequence.
        size: S.

    Returns:
        (T, 3, S, S) float32. The official tensors are (3, T, S, S).

    Raises:
        InputError: if there is no frame, or one is no picture.
    """
    squares = []
    for frame in frames:
        _check_picture(frame)
        target = video_size(frame.shape[0], frame.shape[1], size)
        resized = F.interpolate(_levels(frame)[None], target, mode="bilinear", align_corners=False)
        squares.append(_middle(resized, size))
    if not squares:
        raise InputError("a video needs at least one frame, got none.")
    return _normalised(torch.cat(squares) / 255)


def pad_to_square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a picture (H, W, 3) on the middle of a square of its long side, coloured ``PAD_COLOUR``."""
    height, width, _ = picture.shape
    side = max(height, width)
    square = np.full((side, side, 3), PAD_COLOUR, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = picture
    return square


def image_size(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) of a picture whose short side is resized to ``size``, as torchvision computes it."""
    long = int(size * max(height, width) / min(height, width))
    return (size, long) if height <= width else (long, size)


def video_size(height: int, width: int, size: int) -> tuple[int, int]:
    """``image_size`` for frames, as pytorchvideo computes it: for some sizes it is one pixel less.

    28 x 61 pixels become 224 x 487, not 488, because the quotient is rounded before it is multiplied.
    """
    long = math.floor((max(height, width) / min(height, width)) * size)
    return (size, long) if height <= width else (long, size)


def crop_offset(length: int, size: int) -> int:
    """Where the middle ``size`` pixels of ``length`` begin; halves are rounded to even."""
    return round((length - size) / 2)


def _check_picture(picture: NDArray[np.uint8]) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3 or picture.size == 0:
        raise InputError(f"a picture must be uint8 (H, W, 3) RGB, got {picture.dtype} {picture.shape}.")


def _levels(picture: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) of 8 bits to (3, H, W) in floating point, from 0 to 255."""
    return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)


def _square(planes: Tensor, config: CLIPPixelsConfig) -> Tensor:
    """The resized middle of a picture, (3, H, W) to (3, S, S)."""
    size = image_size(planes.shape[1], planes.shape[2], config.size)
    # torch takes -0.75 for the cubic's coefficient without antialias, and -0.5 with it.
    resized = F.interpolate(
        planes[None], size, mode="bicubic", align_corners=False, antialias=config.antialias
    )
    return _middle(resized, config.size)[0]


def _middle(planes: Tensor, size: int) -> Tensor:
    """(..., H, W) to (..., size, size)."""
    top, left = (crop_offset(length, size) for length in planes.shape[-2:])
    return planes[..., top : top + size, left : left + size]


def _normalised(planes: Tensor) -> Tensor:
    """(..., 3, H, W) by mean and deviation of each channel."""
    return (planes - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
