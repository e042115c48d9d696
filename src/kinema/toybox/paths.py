"""Where toys go: one path a motion, and layouts in which toys keep clear of each other."""

import math
from dataclasses import replace

import numpy as np

from kinema.toybox.vocabulary import SIZES
from kinema.toybox.world import Toy, Waypoint

_EDGE = 0.01
"""Least distance between a toy and the edge of the picture."""
_TRAVEL = (0.4, 0.6)
"""How far a toy moves while it is seen."""
_CIRCLE_RADIUS = 0.2
_TURN_S = 4.0
"""Time of one turn: at one frame a second each step is a quarter turn, unlike any straight motion."""
_CELL_CENTRES = (0.2, 0.5, 0.8)
_CELL_JITTER = 0.05
_LAYOUT_TRIES = 40


def draw_path(
    rng: np.random.Generator, motion: str, size: str, start_s: float, end_s: float
) -> tuple[Waypoint, ...]:
    """A path of the given motion inside the picture, from ``start_s`` to ``end_s``."""
    margin = SIZES[size] / 2 + _EDGE
    if motion == "still":
        return (_waypoint(start_s, _in_a_cell(rng, margin), _in_a_cell(rng, margin)),)
    if motion == "in a circle":
        return _circle(rng, margin, start_s, end_s)
    lane = _in_a_cell(rng, margin)
    low, high = _stretch(rng, margin)
    first, last = (high, low) if motion in ("left", "up") else (low, high)
    if motion in ("left", "right"):
        return _waypoint(start_s, first, lane), _waypoint(end_s, last, lane)
    return _waypoint(start_s, lane, first), _waypoint(end_s, lane, last)


def lay_out(rng: np.random.Generator, toys: list[Toy]) -> list[Toy]:
    """Give every toy a path: of several random layouts the one in which toys keep the most distance.

    Stops early at a layout without any overlap. What a toy is and when it is seen stays as it is.
    """
    best, best_gap = toys, -math.inf
    for _ in range(_LAYOUT_TRIES):
        layout = [_with_path(rng, toy) for toy in toys]
        gap = smallest_gap(layout)
        if gap > best_gap:
            best, best_gap = layout, gap
        if gap >= 0:
            break
    return best


def smallest_gap(toys: list[Toy]) -> float:
    """Least distance between the outlines of two toys seen together; negative where they overlap."""
    gaps = [math.inf]
    for index, one in enumerate(toys):
        for other in toys[:index]:
            start_s, end_s = max(one.appear_s, other.appear_s), min(one.disappear_s, other.disappear_s)
            if start_s < end_s:
                times_s = np.arange(start_s, end_s, 0.25).tolist()
                apart = np.linalg.norm(one.positions(times_s) - other.positions(times_s), axis=-1)
                gaps.append(float(apart.min()) - (one.diameter + other.diameter) / 2)
    return min(gaps)


def _with_path(rng: np.random.Generator, toy: Toy) -> Toy:
    return replace(toy, path=draw_path(rng, toy.motion, toy.size, toy.appear_s, toy.disappear_s))


def _in_a_cell(rng: np.random.Generator, margin: float) -> float:
    """A coordinate near the middle of a third, so that its place has a clear name."""
    value = rng.choice(_CELL_CENTRES) + rng.uniform(-_CELL_JITTER, _CELL_JITTER)
    return float(np.clip(value, margin, 1 - margin))


def _stretch(rng: np.random.Generator, margin: float) -> tuple[float, float]:
    """Two ends of a straight way inside the picture."""
    length = rng.uniform(_TRAVEL[0], min(_TRAVEL[1], 1 - 2 * margin))
    low = rng.uniform(margin, 1 - margin - length)
    return low, low + length


def _circle(rng: np.random.Generator, margin: float, start_s: float, end_s: float) -> tuple[Waypoint, ...]:
    """Turns clockwise or not; the corners of its quarters fall on whole seconds."""
    reach = margin + _CIRCLE_RADIUS
    centre_x, centre_y = rng.uniform(reach, 1 - reach, size=2)
    turn = rng.choice([-1, 1]) * 2 * math.pi / _TURN_S
    phase = rng.integers(4) * math.pi / 2
    times_s = np.arange(start_s, end_s + 0.25, 0.25)
    angles = phase + turn * times_s
    return tuple(
        _waypoint(time_s, centre_x + _CIRCLE_RADIUS * math.cos(a), centre_y + _CIRCLE_RADIUS * math.sin(a))
        for time_s, a in zip(times_s, angles, strict=True)
    )


def _waypoint(time_s: float, x: float, y: float) -> Waypoint:
    return round(float(time_s), 2), round(float(x), 4), round(float(y), 4)
