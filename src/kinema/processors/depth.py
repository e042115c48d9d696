"""Depth maps to what a CLIP tower sees: distances as levels of grey. H W pixels, S side of the square."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import ConfigError, InputError
from kinema.processors.clip_pixels import CLIPPixelsConfig, plane_pixels

NEAREST_M = 0.01
"""Smaller distances, such as the 0 of an unknown one, count as this."""
MAX_DEPTH_M = 10.0
"""The published models' furthest distance, in metres."""


def depth_pixels(
    millimetres: NDArray[Any], config: CLIPPixelsConfig, *, max_depth_m: float = MAX_DEPTH_M
) -> Tensor:
    """Distances to three equal channels of grey, which are then resized, cropped and normalised as pictures.

    Source: ``DepthNorm`` of PKU-YuanGroup/LanguageBind. The paper (arXiv 2310.01852) writes a short side of
    256 pixels; the code, and so this, takes the tower's 224.

    Args:
        millimetres: (H, W), whole or floating numbers as a 16-bit depth map stores them.
        config: how; its ``image_fit`` does not apply, depth maps are cropped.
        max_depth_m: the distance that becomes white, in metres; what is further counts as this. 0 takes the
            largest of the map itself.

    Returns:
        (3, S, S) float32.

    Raises:
        InputError: if it is no map of one channel, has no number somewhere, or is not in millimetres: one of
            8 bits has grey levels, one whose furthest distance is below a centimetre most likely metres.
        ConfigError: if ``max_depth_m`` is below 0.
    """
    if max_depth_m < 0:
        raise ConfigError(f"max_depth_m must be 0 or more metres, got {max_depth_m}.")
    _check_map(millimetres)
    metres = torch.from_numpy(millimetres.astype(np.float32)) / 1000
    metres = metres.clamp(min=NEAREST_M, max=max_depth_m or None)
    levels = metres / (max_depth_m or metres.max())
    return plane_pixels(levels.expand(3, -1, -1), config)


def _check_map(millimetres: NDArray[Any]) -> None:
    if millimetres.ndim != 2 or millimetres.size == 0:
        raise InputError(f"a depth map must be (H, W), one channel, got {millimetres.shape}.")
    if millimetres.dtype in (np.uint8, np.int8, np.bool_):
        raise InputError(
            f"a depth map must hold millimetres, in 16 bits or more, got {millimetres.dtype}: grey levels of "
            "a picture are no distances. Pass the 16-bit map it was made from, or levels times your "
            "millimetres a level."
        )
    if millimetres.dtype.kind == "f":
        _check_distances(millimetres)


def _check_distances(millimetres: NDArray[Any]) -> None:
    """Of floating numbers, which can be what no 16-bit file holds."""
    missing = int(millimetres.size - np.isfinite(millimetres).sum())
    if missing:
        raise InputError(
            f"a depth map must hold a number everywhere, {missing} of {millimetres.size} here are NaN or "
            "infinite; write 0 where the distance is not known."
        )
    furthest = float(millimetres.max())
    if 0 < furthest < 1000 * NEAREST_M:
        raise InputError(
            f"a depth map must hold millimetres, but the furthest distance here is {furthest:.3g}; if these "
            "are metres, multiply them by 1000."
        )
