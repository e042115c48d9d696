"""A single toy far away: a dozen pixels of a larger picture, and what shape it has is all there is to
know."""

import numpy as np
from numpy.typing import NDArray

from kinema.toybox.sprites import STEPS, shape_mask
from kinema.toybox.vocabulary import BACKGROUNDS, COLOURS

DIAMETERS = (12, 16)
"""Pixels across, at least and at most."""
_GRAIN = 8


def draw_distant_toy(shape: str, height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a toy of any colour, anywhere, on a plain background with grain.

    Args:
        shape: one of ``vocabulary.SHAPES``.
        height: H, at least 20 pixels.
        width: W, likewise.
        rng: draws all but the shape.

    Returns:
        (H, W, 3).
    """
    tones, colours = list(BACKGROUNDS.values()), list(COLOURS.values())
    diameter = int(rng.integers(DIAMETERS[0] * STEPS, DIAMETERS[1] * STEPS + 1))
    mask = shape_mask(shape, diameter, *rng.integers(STEPS, size=2).tolist())
    picture = np.full((height, width, 3), tones[rng.integers(len(tones))], dtype=np.uint16)
    top, left = (int(rng.integers(side - len(mask) + 1)) for side in (height, width))
    place = picture[top : top + len(mask), left : left + len(mask)]
    rgb = np.array(colours[rng.integers(len(colours))], dtype=np.uint16)
    place[:] = (place * (256 - mask) + rgb * mask) >> 8
    grain = rng.integers(-_GRAIN, _GRAIN + 1, size=picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)
