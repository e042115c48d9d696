"""Frames to the normalised squares that InternVideo2's encoders see; width and height are squeezed apart.

Source: the test transform of OpenGVLab/InternVideo, with the torchvision 0.14 its weights were trained with.

T frames, H W pixels, S side of the square.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import InputError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of each channel, on levels from 0 to 1; ImageNet's, everywhere in InternVideo2."""


def square_pixels(frames: Iterable[NDArray[np.uint8]], *, size: int = 224) -> Tensor:
    """Resize frames bicubically without antialias, round to levels of 8 bits, and normalise.

    Args:
        frames: each (H, W, 3) RGB, or (H, W) grey; an array (T, H, W, 3) is such a sequence.
        size: S.

    Returns:
        (T, 3, S, S) float32.

    Raises:
        InputError: if there is no frame, or one is no picture.
    """
    squares = [resize_levels(_planes(frame)[None], (size, size)) for frame in frames]
    if not squares:
        raise InputError("there is no frame to look at; a clip needs at least one.")
    return normalised(torch.cat(squares))


def resize_levels(levels: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic and without antialias, as torchvision resizes pictures of 8 bits: rounded, from 0 to 255.

    Args:
        levels: (T, 3, H, W) from 0 to 255.
        size: height and width of the result.

    Returns:
        (T, 3, height, width).
    """
    if levels.shape[-2:] == size:
        return levels
    return F.interpolate(levels, size, mode="bicubic", align_corners=False).round().clamp(0, 255)


def normalised(levels: Tensor) -> Tensor:
    """(..., 3, H, W) from 0 to 255, by mean and deviation of each channel."""
    return (levels / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def _planes(frame: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) or (H, W) of 8 bits to (3, H, W) in floating point."""
    if frame.ndim == 2:
        frame = np.repeat(frame[:, :, None], 3, axis=2)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3 or frame.size == 0:
        raise InputError(f"a picture must be uint8 (H, W, 3) RGB or (H, W), got {frame.dtype} {frame.shape}.")
    return torch.from_numpy(frame.astype(np.float32)).permute(2, 0, 1)
