"""The facts of a scene: toys, their paths and times, backgrounds, words, sounds, shots.

Times are seconds of the whole video. Places are parts of the picture, (0, 0) its top left and (1, 1) its
bottom right; sizes are parts of its shorter side. So one world can be drawn at any size, aspect and rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.toybox.vocabulary import SIZES

Pair = tuple[str, str]
"""(shape, colour): what a toy is seen as."""

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
    def pairs(self) -> set[Pair]:
        """All that this toy is seen as, one after the other."""
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

    tone: str
    """One of ``vocabulary.BACKGROUNDS``."""
    rgb: tuple[int, int, int]
    pattern: str = "plain"
    """One of ``vocabulary.PATTERNS``."""
    other_rgb: tuple[int, int, int] | None = None
    """Second colour of a pattern; None for a plain background."""
    seed: int = 0
    """What a pattern that is random is drawn from."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """How the background passes behind the toys. Paths of toys are given as they are seen, pan or not."""

    motion: str = "still"
    """Where the camera turns: ``still``, ``left``, ``right``, ``up`` or ``down``."""
    distance: float = 0.0
    """How far it turns during the shot, as a part of the picture's width or height."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """One word on the screen, on a label in front of everything."""

    text: str
    place: str
    """``top`` or ``bottom``."""
    start_s: float
    end_s: float

    def is_visible(self, time_s: float) -> bool:
        """Whether it can be read at a time."""
        return self.start_s <= time_s < self.end_s


@dataclass(frozen=True, kw_only=True)
class Sound:
    """One sound, made by something that a toy does."""

    name: str
    """One of ``vocabulary.SOUNDS``."""
    start_s: float
    end_s: float
    toy: int
    """Which of the scene's toys."""
    event: str
    """One of ``vocabulary.EVENTS``."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where one shot ends and the next begins."""

    at_s: float
    """The cut, or the middle of the dissolve."""
    dissolve_s: float
    """Length of the dissolve; 0 for a hard cut."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A stretch of video between two cuts."""

    start_s: float
    end_s: float
    background: Background
    toys: tuple[Toy, ...]
    words: tuple[Word, ...] = ()
    camera: Camera = Camera()
    grain: int = 0
    """Largest change of a pixel by noise that is new in every picture, in grey levels."""
    dissolve_s: float = 0.0
    """Time over which the shot before turns into this one, around ``start_s``; 0 is a hard cut."""

    def events(self, toy: Toy) -> list[tuple[str, float]]:
        """What a toy of this shot does, and when; being there from cut to cut is no event.

        Appears, disappears, changes colour: in this order, named as in ``vocabulary.EVENTS``.
        """
        events = []
        if toy.appear_s > self.start_s:
            events.append(("appear", toy.appear_s))
        if toy.disappear_s < self.end_s:
            events.append(("disappear", toy.disappear_s))
        if toy.recolour is not None:
            events.append(("change colour", toy.recolour.at_s))
        return events
