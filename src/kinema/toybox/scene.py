"""A scene: the facts of one short video, and the pictures drawn from them.

Letters: T frames, H W pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.errors import InputError
from kinema.media.frames import AudioClip
from kinema.toybox.draw import draw_shots
from kinema.toybox.sound import make_sound
from kinema.toybox.world import Background, Camera, Cut, Recolour, Shot, Sound, Toy, Word

_MANY_SHOTS = 5
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
    sounds: tuple[Sound, ...] = ()
    """In order of time, no two at once."""
    height: int = 112
    width: int = 112
    """Pixels that ``render`` draws; nothing else depends on them."""

    @property
    def toys(self) -> tuple[Toy, ...]:
        """The toys of all shots, in order."""
        return tuple(toy for shot in self.shots for toy in shot.toys)

    @property
    def needles(self) -> tuple[Toy, ...]:
        """In a video of many shots, the toys whose shape is seen only once."""
        if len(self.shots) < _MANY_SHOTS:
            return ()
        shapes = [toy.shape for toy in self.toys]
        return tuple(toy for toy in self.toys if shapes.count(toy.shape) == 1)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words on the screen of all shots, in order."""
        return tuple(word for shot in self.shots for word in shot.words)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Where one shot ends and the next begins."""
        return tuple(Cut(at_s=shot.start_s, dissolve_s=shot.dissolve_s) for shot in self.shots[1:])

    def resized(self, height: int, width: int) -> "Scene":
        """The same scene, drawn at another size."""
        return replace(self, height=height, width=width)

    def shot_at(self, time_s: float) -> Shot:
        """The shot that is on at a time; ``InputError`` if that is not within the scene."""
        self._check_time(time_s)
        return next(shot for shot in reversed(self.shots) if shot.start_s <= time_s)

    def render(self, times_s: Sequence[float] | NDArray[np.float64]) -> NDArray[np.uint8]:
        """Draw the pictures of some times, in any order, (T, H, W, 3).

        Raises:
            InputError: if a time is not within the scene; its end is not part of it.
        """
        for time_s in times_s:
            self._check_time(time_s)
        return draw_shots(self.shots, times_s, self.height, self.width)

    def frame_times(self, fps: float) -> list[float]:
        """The times of the scene's frames at a rate, from 0."""
        return [index / fps for index in range(max(1, round(self.duration_s * fps)))]

    def frames(self, fps: float) -> Iterator[NDArray[np.uint8]]:
        """Draw the whole scene frame by frame, each (H, W, 3), holding few of them at a time."""
        times_s = self.frame_times(fps)
        for start in range(0, len(times_s), _CHUNK_FRAMES):
            yield from self.render(times_s[start : start + _CHUNK_FRAMES])

    def sound(self, sample_rate: int = 16_000) -> AudioClip:
        """The sound of the whole scene, one channel; silence where nothing sounds."""
        return make_sound(self.sounds, self.duration_s, sample_rate)

    def facts(self) -> dict[str, Any]:
        """Everything that is known, as plain JSON; ``from_facts`` reads it."""
        return _plain(asdict(self))

    def _check_time(self, time_s: float) -> None:
        if not 0 <= time_s < self.duration_s:
            raise InputError(
                f"time {time_s} s is outside the scene, which lasts from 0 to {self.duration_s} s; "
                "its end is not part of it."
            )


def from_facts(facts: dict[str, Any]) -> Scene:
    """The scene that ``Scene.facts`` was written by."""
    shots = tuple(_shot(shot) for shot in facts["shots"])
    sounds = tuple(Sound(**sound) for sound in facts["sounds"])
    return Scene(**{**facts, "shots": shots, "sounds": sounds})


def _shot(facts: dict[str, Any]) -> Shot:
    parts = {
        "background": _background(facts["background"]),
        "toys": tuple(_toy(toy) for toy in facts["toys"]),
        "words": tuple(Word(**word) for word in facts["words"]),
        "camera": Camera(**facts["camera"]),
    }
    return Shot(**{**facts, **parts})


def _background(facts: dict[str, Any]) -> Background:
    other_rgb = facts["other_rgb"] and tuple(facts["other_rgb"])
    return Background(**{**facts, "rgb": tuple(facts["rgb"]), "other_rgb": other_rgb})


def _toy(facts: dict[str, Any]) -> Toy:
    recolour = facts["recolour"] and Recolour(**facts["recolour"])
    return Toy(**{**facts, "path": tuple((t, x, y) for t, x, y in facts["path"]), "recolour": recolour})


def _plain(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
