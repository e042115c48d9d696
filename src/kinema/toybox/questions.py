"""Questions about a scene, or about one of its pictures, with their true answers.

Only what can be answered is asked: every toy in a question is told apart from all others by its name.
"""

from collections.abc import Callable

import numpy as np

from kinema.toybox import ask_events, ask_looks, ask_media
from kinema.toybox.question import Question
from kinema.toybox.scene import Scene
from kinema.toybox.stills import freeze

Asker = Callable[[Scene, np.random.Generator], list[Question]]

LOOKS: dict[str, Asker] = {
    "colour": ask_looks.ask_colour,
    "shape": ask_looks.ask_shape,
    "size": ask_looks.ask_size,
    "count": ask_looks.ask_count,
    "position": ask_looks.ask_position,
    "existence": ask_looks.ask_existence,
    "text": ask_media.ask_text,
}
"""Kinds that one picture can answer."""

EVENTS: dict[str, Asker] = {
    "motion": ask_events.ask_motion,
    "change": ask_events.ask_change,
    "order": ask_events.ask_order,
    "when": ask_events.ask_when,
    "moment": ask_events.ask_moment,
    "sound": ask_media.ask_sound,
    "camera": ask_media.ask_camera,
    "shots": ask_media.ask_shots,
    "cut": ask_media.ask_cut,
    "needle": ask_media.ask_needle,
}
"""Kinds that need the video."""

KINDS = (*LOOKS, *EVENTS)

_SHARE = {"existence": 0.5, "count": 0.5, "order": 0.5, "camera": 0.5, "shots": 0.5}
"""How often a kind is picked, beside 1 for all others: these are the kinds that a guess often answers."""


def questions(scene: Scene, rng: np.random.Generator, num: int | None = None) -> list[Question]:
    """Questions about a video.

    Args:
        scene: the video.
        rng: chooses wordings, times and, with ``num``, what is asked.
        num: how many at most, the kinds mixed; None asks everything, kind by kind.
    """
    return _picked({kind: asker(scene, rng) for kind, asker in (LOOKS | EVENTS).items()}, rng, num)


def questions_at(
    scene: Scene, time_s: float, rng: np.random.Generator, num: int | None = None
) -> list[Question]:
    """Questions about the picture at one time, as ``questions``."""
    still = freeze(scene, time_s)
    return _picked({kind: asker(still, rng) for kind, asker in LOOKS.items()}, rng, num)


def _picked(asked: dict[str, list[Question]], rng: np.random.Generator, num: int | None) -> list[Question]:
    """All, or ``num`` of them: a kind at random, one of its questions at random, and so on."""
    if num is None:
        return [question for kind in asked.values() for question in kind]
    left = {kind: list(rows) for kind, rows in asked.items() if rows}
    picked: list[Question] = []
    while left and len(picked) < num:
        shares = np.array([_SHARE.get(kind, 1.0) for kind in left])
        kind = str(rng.choice(list(left), p=shares / shares.sum()))
        picked.append(left[kind].pop(rng.integers(len(left[kind]))))
        left = {name: rows for name, rows in left.items() if rows}
    return picked
