"""Frames to the normalised pixels that InternVideo2's encoders see.

As published they are squares, width and height squeezed apart. The encoder takes other sizes too, so frames
may keep their shape, and their size.

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
from kinema.processors.clip_pixels import crop_offset, image_size

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
    squares = [resize_levels(frame_levels(frame)[None], (size, size)) for frame in frames]
    if not squares:
        raise InputError("there is no frame to look at; a clip needs at least one.")
    return normalised(torch.cat(squares))


def cropped_pixels(levels: Tensor, *, size: int = 224) -> Tensor:
    """The middle square of frames whose short side is resized to it, normalised; as the chat models see them.

    Args:
        levels: (T, 3, H, W) from 0 to 255.
        size: S.

    Returns:
        (T, 3, S, S).
    """
    height, width = levels.shape[-2:]
    resized = resize_levels(levels, image_size(height, width, size))
    top, left = (crop_offset(length, size) for length in resized.shape[-2:])
    return normalised(resized[..., top : top + size, left : left + size])


def shaped_pixels(
    frames: Iterable[NDArray[np.uint8]], *, size: int | None = 224, multiple: int = 14
) -> Tensor:
    """As ``square_pixels``, but that frames keep their aspect ratio as far as patches allow.

    Args:
        frames: as for ``square_pixels``; the frames of a clip are of one size.
        size: side of a square with as many pixels; None for as many as the frames have.
        multiple: pixels that both sides are a multiple of, those of a patch.

    Returns:
        (T, 3, H, W) float32.

    Raises:
        InputError: as ``square_pixels``.
    """
    resized = [
        resize_levels(planes[None], shaped_size(*planes.shape[1:], size=size, multiple=multiple))
        for planes in map(frame_levels, frames)
    ]
    if not resized:
        raise InputError("there is no frame to look at; a clip needs at least one.")
    return normalised(torch.cat(resized))


def shaped_size(height: int, width: int, *, size: int | None, multiple: int) -> tuple[int, int]:
    """Height and width of a frame in its own aspect ratio, rounded to patches; at least one patch each.

    Arguments are as for ``shaped_pixels``.
    """
    scale = 1.0 if size is None else size / (height * width) ** 0.5
    rows, columns = (max(1, round(side * scale / multiple)) for side in (height, width))
    return rows * multiple, columns * multiple


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


def frame_levels(frame: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) or (H, W) of 8 bits to (3, H, W) in floating point, from 0 to 255.

    Raises:
        InputError: if it is no picture.
    """
    if frame.ndim == 2:
        frame = np.repeat(frame[:, :, None], 3, axis=2)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3 or frame.size == 0:
        raise InputError(f"a picture must be uint8 (H, W, 3) RGB or (H, W), got {frame.dtype} {frame.shape}.")
    return torch.from_numpy(frame.astype(np.float32)).permute(2, 0, 1)
