"""Held-out films of the toybox, captioned by ear alone: are captions right, and the sounds that they name?

The sounds of a film have nothing to do with what it shows (``toybox.sounding``).
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from kinema.datasets.toybox_sounds import HEARD_PROMPT, ToyboxSounds
from kinema.toybox import Scene
from kinema.toybox.ask_media import ask_whether_heard
from kinema.toybox.sounding import heard_caption
from kinema.toybox.vocabulary import SOUNDS
from kinema.toybox.write import write_clip

_SIDE = 32
"""Pixels a side of the films, which nobody sees."""


class Listener(Protocol):
    """A model behind the front door."""

    def ask(self, media: Path | None, question: str) -> str:
        """The answer."""


@dataclass(frozen=True, kw_only=True)
class HeardScores:
    """How captions compare with the true ones."""

    exact: float
    """Share of captions that are true word for word: every sound, in order."""
    precision: float
    """Share of the sounds that captions name, which are there, as often as they are named."""
    recall: float
    """Share of the sounds that are there, which captions name."""

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def caption_films(
    model: Listener, *, num_films: int = 100, level: int = 1, seed: int = 0, hears: bool = True
) -> tuple[list[str], list[str]]:
    """What a model writes of films that were not trained, read from files, and what would be true.

    Args:
        model: what is asked.
        num_films: how many.
        level: of the films: 4 to 8 s, or 8 to 30 s.
        seed: of the films.
        hears: whether the film is played; without, the model is asked all the same.
    """
    said, true = [], []
    for scene, path, _ in _films(num_films, level, seed, hears=hears):
        said.append(model.ask(path, HEARD_PROMPT))
        true.append(heard_caption(scene))
    return said, true


def ask_films(model: Listener, *, num_films: int = 100, seed: int = 0, hears: bool = True) -> float:
    """Share of right answers to whether a sound is heard: half of them are yes; arguments as above."""
    right = [
        model.ask(path, question.text).strip() == question.answer
        for scene, path, rng in _films(num_films, 1, seed, hears=hears)
        for question in ask_whether_heard(scene, rng)
    ]
    return sum(right) / len(right)


def _films(
    num_films: int, level: int, seed: int, *, hears: bool
) -> Iterator[tuple[Scene, Path | None, np.random.Generator]]:
    """Scenes that were not trained, each in a file until the next, if it is played, and a generator."""
    films = ToyboxSounds(level=level, split="test")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        for index in range(num_films):
            rng = np.random.default_rng([seed, index])
            scene = films.scene(rng)
            if hears:
                write_clip(scene.resized(_SIDE, _SIDE), path, fps=4.0)
            yield scene, path if hears else None, rng


def score_heard(said: Sequence[str], true: Sequence[str]) -> HeardScores:
    """Compare captions with the true ones, in the same order."""
    pairs = [(_named(one), _named(other)) for one, other in zip(said, true, strict=True)]
    right = sum((one & other).total() for one, other in pairs)
    num_said = sum(one.total() for one, _ in pairs)
    num_true = sum(other.total() for _, other in pairs)
    return HeardScores(
        exact=sum(one.strip() == other for one, other in zip(said, true, strict=True)) / len(true),
        precision=right / num_said if num_said else 0.0,
        recall=right / num_true if num_true else 0.0,
    )


def _named(caption: str) -> Counter[str]:
    """The sounds that a caption names, and how often."""
    words = [word.strip(".,").lower() for word in caption.split()]
    return Counter(word for word in words if word in SOUNDS)
