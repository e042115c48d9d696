"""Frames to the rows of ``pixel_values`` and back.

T frames, H W pixels, p patch side, m merge size, P patches = T · H/p · W/p.
A row is one patch: all of red, then green, then blue, each p x p in reading order. Rows are block-major: the
m x m patches that become one token stand together, so that averaging runs of m² rows is the spatial merge.
With m = 1 that is plain reading order.

Source: DAMO-NLP-SG/VideoLLaMA3, commit 05cee23, ``image_processing_videollama3.py``.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import InputError

NORMALISED = ((np.arange(256) / 255).astype(np.float32) - np.float32(0.5)) / np.float32(0.5)
"""(256,) the value of each 8-bit level: mean and deviation 0.5, rounded to float32 after each step."""


def to_patches(frames: NDArray[np.uint8], *, patch_size: int, merge_size: int) -> Tensor:
    """Cut frames into normalised patches.

    Args:
        frames: (T, H, W, 3) RGB, H and W multiples of ``patch_size * merge_size``.
        patch_size: p.
        merge_size: m.

    Returns:
        (P, 3·p·p) float32, -1 for black to 1 for white; exact to the bit with the original's arithmetic.

    Raises:
        InputError: if a side is not a multiple of ``patch_size * merge_size``.
    """
    num_frames, height, width, _ = frames.shape
    side = patch_size * merge_size
    if height % side or width % side:
        raise InputError(
            f"frames of {height}x{width} pixels cannot be cut into blocks of {side} (patch {patch_size} x "
            f"merge {merge_size}). Resize them first, see processors.resize."
        )
    blocks = frames.reshape(
        num_frames, height // side, merge_size, patch_size, width // side, merge_size, patch_size, 3
    )
    # uint8 is moved, a quarter of the bytes; the table is looked up in one last pass.
    levels = np.ascontiguousarray(blocks.transpose(0, 1, 4, 2, 5, 7, 3, 6)).reshape(num_frames, -1)
    pixel_values = np.empty(levels.shape, np.float32)
    for frame, values in zip(levels, pixel_values, strict=True):
        # Frame by frame, as numpy makes 8-byte indices of the levels; "clip" writes without a buffer.
        np.take(NORMALISED, frame, out=values, mode="clip")
    return torch.from_numpy(pixel_values.reshape(-1, 3 * patch_size**2))


def from_patches(
    pixel_values: Tensor, grid_thw: tuple[int, int, int], *, merge_size: int
) -> NDArray[np.uint8]:
    """Put one item's patches together again, to look at what the model saw.

    Args:
        pixel_values: (P, 3·p·p) as ``to_patches`` made them, of any float type.
        grid_thw: frames, rows and columns of patches.
        merge_size: m.

    Returns:
        (T, H, W, 3) RGB frames.
    """
    num_frames, rows, columns = grid_thw
    patch_size = round((pixel_values.shape[-1] / 3) ** 0.5)
    levels = ((pixel_values.float() * 0.5 + 0.5) * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    blocks = levels.reshape(
        num_frames,
        rows // merge_size,
        columns // merge_size,
        merge_size,
        merge_size,
        3,
        patch_size,
        patch_size,
    )
    frames = blocks.transpose(0, 1, 3, 6, 2, 4, 7, 5)
    return np.ascontiguousarray(frames).reshape(num_frames, rows * patch_size, columns * patch_size, 3)
