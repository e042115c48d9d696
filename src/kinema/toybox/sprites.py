"""Antialiased masks of the shapes, drawn once and kept.

A mask is drawn eight times too large and averaged down. Its centre lies on a quarter of a pixel, so that slow
toys move smoothly while every mask needed is soon in the cache.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

STEPS = 4
"""Positions that are told apart inside one pixel, along each side."""
_OVERSAMPLING = 8
_INNER_STAR = 0.45
_INNER_RING = 0.55
_CROSS_ARM = 0.34
_SQUARE_SIDE = 0.86
"""Parts of the outer radius; the square is smaller, so that its corners do not make it look the largest."""

Points = list[tuple[float, float]]


@lru_cache(maxsize=8192)
def shape_mask(shape: str, diameter_steps: int, step_x: int, step_y: int) -> NDArray[np.uint16]:
    """How much of each pixel a shape covers.

    Args:
        shape: one of ``vocabulary.SHAPES``, or ``NEW_SHAPE``.
        diameter_steps: diameter in quarters of a pixel.
        step_x, step_y: quarters of a pixel from the middle of the mask to the centre of the shape, 0 to 3.

    Returns:
        (S, S, 1), 0 to 256, read-only. The middle of the mask is its pixel corner (S / 2, S / 2).
    """
    side = 2 * math.ceil(diameter_steps / STEPS / 2 + 1)
    unit = _OVERSAMPLING / STEPS
    centre_x, centre_y = (side * _OVERSAMPLING / 2 + step * unit for step in (step_x, step_y))
    canvas = Image.new("L", (side * _OVERSAMPLING, side * _OVERSAMPLING))
    _DRAW[shape](ImageDraw.Draw(canvas), centre_x, centre_y, diameter_steps * unit / 2)
    covered = np.asarray(canvas, dtype=np.uint16).reshape(side, _OVERSAMPLING, side, _OVERSAMPLING)
    mask = np.rint(covered.mean(axis=(1, 3)) * (256 / 255)).astype(np.uint16)[..., None]
    mask.flags.writeable = False
    return mask


def _circle(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def _ring(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    _circle(pen, x, y, radius)
    hole = radius * _INNER_RING
    pen.ellipse((x - hole, y - hole, x + hole, y + hole), fill=0)


def _square(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    half = radius * _SQUARE_SIDE
    pen.rectangle((x - half, y - half, x + half, y + half), fill=255)


def _cross(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    arm = radius * _CROSS_ARM
    pen.rectangle((x - radius, y - arm, x + radius, y + arm), fill=255)
    pen.rectangle((x - arm, y - radius, x + arm, y + radius), fill=255)


def _triangle(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    pen.polygon([(x, y - radius), (x + radius, y + 0.8 * radius), (x - radius, y + 0.8 * radius)], fill=255)


def _star(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    pen.polygon(_spikes(x, y, radius, radius * _INNER_STAR, 5), fill=255)


def _heart(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    """The usual curve: 16 sin³ t wide, 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t high."""
    turns = [index * math.tau / 64 for index in range(64)]
    pen.polygon(
        [
            (
                x + radius * math.sin(t) ** 3,
                y
                - radius
                * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t))
                / 16,
            )
            for t in turns
        ],
        fill=255,
    )


def _spikes(x: float, y: float, outer: float, inner: float, num_spikes: int) -> Points:
    angles = [index * math.pi / num_spikes - math.pi / 2 for index in range(2 * num_spikes)]
    radii = [outer, inner] * num_spikes
    return [(x + r * math.cos(a), y + r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]


_DRAW: dict[str, Callable[[ImageDraw.ImageDraw, float, float, float], None]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "heart": _heart,
}
