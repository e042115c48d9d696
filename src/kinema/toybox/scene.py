"""A scene: the facts of one short video, and the pictures drawn from them.

Letters: T frames, H W pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.errors import InputError
from kinema.toybox.draw import draw_shot
from kinema.toybox.world import Background, Recolour, Shot, Toy

_CHUNK_FRAMES = 32
"""Frames drawn at a time by ``Scene.frames``."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One video of the toybox, known in full."""

    seed: int
    level: int
    split: str
    duration_s: float
    shots: tuple[Shot, ...]
    """In order, without gaps, from 0 to ``duration_s``."""
    height: int = 112
    width: int = 112
    """Pixels that ``render`` draws; nothing else depends on them."""

    @property
    def toys(self) -> tuple[Toy, ...]:
        """The toys of all shots, in order."""
        return tuple(toy for shot in self.shots for toy in shot.toys)

    @property
    def cuts(self) -> tuple[float, ...]:
        """The times at which a new shot begins."""
        return tuple(shot.start_s for shot in self.shots[1:])

    def resized(self, height: int, width: int) -> "Scene":
        """The same scene, drawn at another size."""
        return replace(self, height=height, width=width)

    def shot_at(self, time_s: float) -> Shot:
        """The shot that is on at a time."""
        return next(shot for shot in reversed(self.shots) if shot.start_s <= time_s)

    def render(self, times_s: Sequence[float]) -> NDArray[np.uint8]:
        """Draw the pictures of some times, in any order, (T, H, W, 3).

        Raises:
            InputError: if a time is not within the scene; its end is not part of it.
        """
        for time_s in times_s:
            if not 0 <= time_s < self.duration_s:
                raise InputError(
                    f"time {time_s} s is outside the scene, which lasts from 0 to {self.duration_s} s; "
                    "its end is not part of it."
                )
        if len(self.shots) == 1:
            return draw_shot(self.shots[0], times_s, self.height, self.width)
        frames = np.empty((len(times_s), self.height, self.width, 3), dtype=np.uint8)
        starts = [shot.start_s for shot in self.shots]
        shown = np.searchsorted(starts, times_s, side="right") - 1
        for index in np.unique(shown):
            (at,) = np.nonzero(shown == index)
            frames[at] = draw_shot(
                self.shots[index], [times_s[i] for i in at.tolist()], self.height, self.width
            )
        return frames

    def frame_times(self, fps: float) -> list[float]:
        """The times of the scene's frames at a rate, from 0."""
        return [index / fps for index in range(max(1, round(self.duration_s * fps)))]

    def frames(self, fps: float) -> Iterator[NDArray[np.uint8]]:
        """Draw the whole scene frame by frame, each (H, W, 3), holding few of them at a time."""
        times_s = self.frame_times(fps)
        for start in range(0, len(times_s), _CHUNK_FRAMES):
            yield from self.render(times_s[start : start + _CHUNK_FRAMES])

    def facts(self) -> dict[str, Any]:
        """Everything that is known, as plain JSON; ``from_facts`` reads it."""
        return _plain(asdict(self))


def from_facts(facts: dict[str, Any]) -> Scene:
    """The scene that ``Scene.facts`` was written by."""
    shots = tuple(_shot(shot) for shot in facts["shots"])
    return Scene(**{**facts, "shots": shots})


def _shot(facts: dict[str, Any]) -> Shot:
    background = Background(name=facts["background"]["name"], rgb=tuple(facts["background"]["rgb"]))
    return Shot(**{**facts, "background": background, "toys": tuple(_toy(toy) for toy in facts["toys"])})


def _toy(facts: dict[str, Any]) -> Toy:
    recolour = facts["recolour"] and Recolour(**facts["recolour"])
    return Toy(**{**facts, "path": tuple((t, x, y) for t, x, y in facts["path"]), "recolour": recolour})


def _plain(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
