"""Questions that need more than one picture: motion, change, order, moments and spans."""

from itertools import combinations

import numpy as np

from kinema.toybox.names import named_toys
from kinema.toybox.question import Question, ask
from kinema.toybox.scene import Scene
from kinema.toybox.spans import coloured_spans, heard_spans, shown_spans, visible_spans
from kinema.toybox.vocabulary import span_words, time_words

_MOTION = ("How does the {name} move?", "What is the motion of the {name}?")
_CHANGE = ("What colour does the {name} become?", "Which colour does the {name} change to?")
_FIRST = ("Which appears first, the {one} or the {other}?", "What comes first, the {one} or the {other}?")
_GONE = ("Which disappears first, the {one} or the {other}?", "What is gone first, the {one} or the {other}?")
_WHEN = ("When is the {subject} {state}?", "From when to when is the {subject} {state}?")
_HAPPENS = ("When does the {name} {event}?", "At what time does the {name} {event}?")
_MOST_PAIRS = 12
"""Pairs of toys whose order is asked for, at most."""


def ask_motion(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """How each toy moves."""
    return [ask(rng, "motion", _MOTION, toy.motion, name=name) for toy, name in named_toys(scene.toys)]


def ask_change(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Which colour a toy takes."""
    return [
        ask(rng, "change", _CHANGE, toy.recolour.colour, name=name)
        for toy, name in named_toys(scene.toys)
        if toy.recolour is not None
    ]


def ask_order(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Which of two toys appears first, which disappears first; in either order of naming."""
    asked = []
    pairs = list(combinations(named_toys(scene.toys), 2))
    if len(pairs) > _MOST_PAIRS:
        pairs = [pairs[i] for i in rng.permutation(len(pairs))[:_MOST_PAIRS]]
    for pair in pairs:
        (toy, name), (other_toy, other_name) = (pair[i] for i in rng.permutation(2))
        for wordings, one_s, other_s in (
            (_FIRST, toy.appear_s, other_toy.appear_s),
            (_GONE, toy.disappear_s, other_toy.disappear_s),
        ):
            if one_s != other_s:
                answer = name if one_s < other_s else other_name
                asked.append(ask(rng, "order", wordings, answer, one=name, other=other_name))
    return asked


def ask_when(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """From when to when something is seen, shown, heard, or has one of its two colours."""
    one_of_two = [pair[rng.integers(2)] for pair in coloured_spans(scene)]
    return [
        ask(rng, "when", _WHEN, span_words(*span), span=span, subject=named.subject, state=named.state)
        for named in [*visible_spans(scene), *one_of_two, *shown_spans(scene), *heard_spans(scene)]
        for span in [(named.start_s, named.end_s)]
    ]


def ask_moment(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """At what time a toy appears, disappears or changes colour."""
    asked = []
    for toy, name in named_toys(scene.toys):
        for event, at_s in scene.shot_at(toy.appear_s).events(toy):
            asked.append(ask(rng, "moment", _HAPPENS, time_words(at_s), name=name, event=event))
    return asked
