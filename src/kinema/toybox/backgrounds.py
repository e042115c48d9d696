"""Draw what lies behind the toys: plain tones, gradients, stripes, checks, clouds, at any size.

Letters: H W pixels.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kinema.toybox.world import Background

_STRIPES = 5
"""Stripes, or checks, along the picture's shorter side."""
_CLOUDS = 9
"""Random values along the picture's shorter side; what lies between them is smooth."""


@lru_cache(maxsize=16)
def draw_background(background: Background, height: int, width: int, side: int) -> NDArray[np.uint8]:
    """The background, (H, W, 3), read-only.

    Args:
        background: what to draw.
        height, width: pixels to draw; with a pan, more than the picture has.
        side: pixels of the picture's shorter side, which patterns are measured in.
    """
    if background.other_rgb is None:
        picture = np.full((height, width, 3), background.rgb, dtype=np.uint8)
    else:
        share = _PATTERNS[background.pattern](background.seed, height, width, side)[..., None]  # (H, W, 1)
        one, other = np.array(background.rgb), np.array(background.other_rgb)
        picture = np.rint(one + (other - one) * share).astype(np.uint8)
    picture.flags.writeable = False
    return picture


def _gradient(seed: int, height: int, width: int, side: int) -> NDArray[np.float64]:
    """From 0 to 1 in one of eight directions."""
    angle = seed % 8 * np.pi / 4
    y, x = np.mgrid[0:height, 0:width]
    along = x / width * np.cos(angle) + y / height * np.sin(angle)
    return (along - along.min()) / max(np.ptp(along), 1e-9)


def _stripes(seed: int, height: int, width: int, side: int) -> NDArray[np.float64]:
    """Bars of 0 and 1, upright, level or slanted."""
    y, x = np.mgrid[0:height, 0:width] * (_STRIPES / side)
    along = (x, y, (x + y) / np.sqrt(2), (x - y) / np.sqrt(2))[seed % 4]
    return np.floor(along) % 2


def _checks(seed: int, height: int, width: int, side: int) -> NDArray[np.float64]:
    """Squares of 0 and 1 in turn."""
    y, x = np.mgrid[0:height, 0:width] * (_STRIPES / side)
    return (np.floor(x) + np.floor(y) + seed) % 2


def _clouds(seed: int, height: int, width: int, side: int) -> NDArray[np.float64]:
    """Smooth random values from 0 to 1."""
    rows, columns = (max(2, round(pixels * _CLOUDS / side)) for pixels in (height, width))
    coarse = np.random.default_rng(seed).random((rows, columns), dtype=np.float32)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth, dtype=np.float64), 0, 1)


_PATTERNS: dict[str, Callable[[int, int, int, int], NDArray[np.float64]]] = {
    "gradient": _gradient,
    "stripes": _stripes,
    "checks": _checks,
    "clouds": _clouds,
}
