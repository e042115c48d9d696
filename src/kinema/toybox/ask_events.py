"""Questions that need more than one picture: motion, change, order, moments and spans."""

from itertools import combinations

import numpy as np

from kinema.toybox.question import Question, ask, full_name, name_without_colour
from kinema.toybox.scene import Scene
from kinema.toybox.vocabulary import span_words, time_words
from kinema.toybox.world import Toy

_MOTION = ("How does the {name} move?", "What is the motion of the {name}?")
_CHANGE = ("What colour does the {name} become?", "Which colour does the {name} change to?")
_FIRST = ("Which appears first, the {one} or the {other}?", "What comes first, the {one} or the {other}?")
_GONE = ("Which disappears first, the {one} or the {other}?", "What is gone first, the {one} or the {other}?")
_VISIBLE = ("When is the {name} visible?", "From when to when is the {name} visible?")
_COLOURED = ("When is the {name} {colour}?", "From when to when is the {name} {colour}?")
_HAPPENS = ("When does the {name} {event}?", "At what time does the {name} {event}?")
_SHOWN = ("When is the word {word} shown?", "From when to when is the word {word} shown?")
_HEARD = ("When is the {sound} heard?", "From when to when is the {sound} heard?")
_MOST_PAIRS = 12
"""Pairs of toys whose order is asked for, at most."""


def ask_motion(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """How each toy moves."""
    return [ask(rng, "motion", _MOTION, toy.motion, name=name) for toy, name in _named(scene)]


def ask_change(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Which colour a toy takes."""
    return [
        ask(rng, "change", _CHANGE, toy.recolour.colour, name=name)
        for toy, name in _named(scene)
        if toy.recolour is not None
    ]


def ask_order(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Which of two toys appears first, which disappears first; in either order of naming."""
    asked = []
    pairs = list(combinations(_named(scene), 2))
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
    """From when to when a toy is seen, or has one of its colours; answered with a span."""
    asked = []
    for toy, name in _named(scene):
        span = (toy.appear_s, toy.disappear_s)
        asked.append(ask(rng, "when", _VISIBLE, span_words(*span), span=span, name=name))
    for toy in scene.toys:
        bare_name = name_without_colour(toy, scene.toys)
        if toy.recolour is None or bare_name is None:
            continue
        spans = {
            toy.colour: (toy.appear_s, toy.recolour.at_s),
            toy.recolour.colour: (toy.recolour.at_s, toy.disappear_s),
        }
        colour = str(rng.choice(list(spans)))
        span = spans[colour]
        asked.append(ask(rng, "when", _COLOURED, span_words(*span), span=span, name=bare_name, colour=colour))
    return asked + _ask_when_shown_or_heard(scene, rng)


def _ask_when_shown_or_heard(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """From when to when there is a word or a sound that occurs once."""
    asked = []
    texts, names = [word.text for word in scene.words], [sound.name for sound in scene.sounds]
    for word in scene.words:
        if texts.count(word.text) == 1:
            span = (word.start_s, word.end_s)
            asked.append(ask(rng, "when", _SHOWN, span_words(*span), span=span, word=word.text))
    for sound in scene.sounds:
        if names.count(sound.name) == 1:
            span = (sound.start_s, sound.end_s)
            asked.append(ask(rng, "when", _HEARD, span_words(*span), span=span, sound=sound.name))
    return asked


def ask_moment(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """At what time a toy appears, disappears or changes colour."""
    asked = []
    for toy, name in _named(scene):
        for event, at_s in scene.shot_at(toy.appear_s).events(toy):
            asked.append(ask(rng, "moment", _HAPPENS, time_words(at_s), name=name, event=event))
    return asked


def _named(scene: Scene) -> list[tuple[Toy, str]]:
    """The toys that shape and colour tell apart from all others, each with its name."""
    names = [(toy, full_name(toy, scene.toys)) for toy in scene.toys]
    return [(toy, name) for toy, name in names if name is not None]
