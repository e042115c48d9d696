"""The facts of a scene: toys, their paths and times, backgrounds, shots.

Times are seconds of the whole video. Places are parts of the picture, (0, 0) its top left and (1, 1) its
bottom right; sizes are parts of its shorter side. So one world can be drawn at any size, aspect and rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.toybox.vocabulary import SIZES

Waypoint = tuple[float, float, float]
"""(time_s, x, y); between two of them a toy moves straight and evenly."""


@dataclass(frozen=True, kw_only=True)
class Recolour:
    """A toy takes another colour, at once."""

    at_s: float
    colour: str


@dataclass(frozen=True, kw_only=True)
class Toy:
    """One object: what it is, where it goes, and when it is there."""

    shape: str
    colour: str
    size: str
    motion: str
    path: tuple[Waypoint, ...]
    appear_s: float
    """First moment at which it is seen."""
    disappear_s: float
    """First moment at which it is seen no more; the end of the shot if it stays."""
    recolour: Recolour | None = None

    @property
    def diameter(self) -> float:
        """Diameter as a part of the picture's shorter side."""
        return SIZES[self.size]

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """Every (shape, colour) that this toy is seen as."""
        later = [] if self.recolour is None else [self.recolour.colour]
        return {(self.shape, colour) for colour in [self.colour, *later]}

    def is_visible(self, time_s: float) -> bool:
        """Whether it is in the picture at a time."""
        return self.appear_s <= time_s < self.disappear_s

    def colour_at(self, time_s: float) -> str:
        """Its colour at a time."""
        changed = self.recolour is not None and time_s >= self.recolour.at_s
        return self.recolour.colour if self.recolour is not None and changed else self.colour

    def positions(self, times_s: Sequence[float]) -> NDArray[np.float64]:
        """Its centre at times (T,), as (T, 2) of x and y."""
        time, x, y = np.array(self.path).T
        return np.stack([np.interp(times_s, time, x), np.interp(times_s, time, y)], axis=-1)

    def position(self, time_s: float) -> tuple[float, float]:
        """Its centre at one time, x and y."""
        x, y = self.positions([time_s])[0]
        return float(x), float(y)

    def seconds(self) -> list[float]:
        """The whole seconds at which it is seen, as a reader at one frame a second sees it."""
        return [float(second) for second in range(math.ceil(self.appear_s), math.ceil(self.disappear_s))]


@dataclass(frozen=True, kw_only=True)
class Background:
    """What lies behind the toys."""

    name: str
    """What a caption calls it."""
    rgb: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A stretch of video between two cuts."""

    start_s: float
    end_s: float
    background: Background
    toys: tuple[Toy, ...]
