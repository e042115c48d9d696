"""Questions that one picture can answer: colour, shape, size, count, position, existence.

In a video they are asked at a time wherever the answer changes with it.
"""

import numpy as np

from kinema.toybox.names import full_name, name_without_colour, name_without_shape, named_toys
from kinema.toybox.question import Question, ask
from kinema.toybox.scene import Scene
from kinema.toybox.splits import allowed_pairs
from kinema.toybox.stills import STILL_S
from kinema.toybox.vocabulary import SHAPES, place_at, place_is_clear, plural, time_words, with_article
from kinema.toybox.world import Toy

_COLOUR = ("What colour is the {name}?", "Which colour does the {name} have?")
_COLOUR_AT = ("What colour is the {name} at {time}?", "Which colour does the {name} have at {time}?")
_SHAPE = ("What shape is the {name}?", "Which shape does the {name} have?")
_SIZE = ("How large is the {name}?", "What size is the {name}?")
_COUNT = ("How many {names} are there?", "What is the number of {names}?")
_COUNT_AT = ("How many {names} are there at {time}?", "What is the number of {names} at {time}?")
_POSITION = ("Where is the {name}?", "In which part of the picture is the {name}?")
_POSITION_AT = ("Where is the {name} at {time}?", "In which part of the picture is the {name} at {time}?")
_EXISTENCE = ("Is there {a_name}?", "Do you see {a_name}?", "Can {a_name} be seen?")


def ask_colour(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """The colour of each toy; at a time where it changes."""
    asked = []
    for toy in scene.toys:
        name = name_without_colour(toy, scene.toys)
        if name is None:
            continue
        if toy.recolour is None and (scene.duration_s <= STILL_S or rng.random() < 0.7):
            asked.append(ask(rng, "colour", _COLOUR, toy.colour, name=name))
        else:
            time_s = _a_second(rng, toy)
            answer = toy.colour_at(time_s)
            asked.append(ask(rng, "colour", _COLOUR_AT, answer, name=name, time=time_words(time_s)))
    return asked


def ask_shape(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """The shape of each toy."""
    names = [(toy, name_without_shape(toy, scene.toys)) for toy in scene.toys]
    return [ask(rng, "shape", _SHAPE, toy.shape, name=name) for toy, name in names if name]


def ask_size(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """The size of each toy."""
    return [ask(rng, "size", _SIZE, toy.size, name=name) for toy, name in named_toys(scene.toys)]


def ask_count(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """How many toys there are, how many of one shape, both within one shot, and how many at a time."""
    asked = []
    if len(scene.shots) == 1:
        asked.append(ask(rng, "count", _COUNT, str(len(scene.toys)), names="objects"))
    if len(scene.shots) == 1 and scene.toys:
        shape = str(rng.choice([*(toy.shape for toy in scene.toys), *rng.choice(SHAPES, size=2)]))
        num_of_shape = sum(toy.shape == shape for toy in scene.toys)
        asked.append(ask(rng, "count", _COUNT, str(num_of_shape), names=plural(shape)))
    if scene.duration_s > STILL_S:
        time_s = float(rng.integers(int(scene.duration_s)))
        num_then = sum(toy.is_visible(time_s) for toy in scene.toys)
        asked.append(ask(rng, "count", _COUNT_AT, str(num_then), names="objects", time=time_words(time_s)))
    return asked


def ask_position(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """In which ninth of the picture each toy is; at a time where it moves, and never near a line."""
    asked = []
    for toy in scene.toys:
        time_s = _a_second(rng, toy)
        name, where = full_name(toy, scene.toys), toy.position(time_s)
        if name is None or not place_is_clear(*where):
            continue
        if toy.motion == "still":
            asked.append(ask(rng, "position", _POSITION, place_at(*where), name=name))
        else:
            time = time_words(time_s)
            asked.append(ask(rng, "position", _POSITION_AT, place_at(*where), name=name, time=time))
    return asked


def ask_existence(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Whether there is such a toy: one that is there, and one that is not but shares its shape or colour."""
    if not scene.toys:
        return []
    toy = scene.toys[rng.integers(len(scene.toys))]
    seen = set().union(*(toy.pairs for toy in scene.toys))
    absent = [
        pair
        for pair in allowed_pairs(scene.split)
        if pair not in seen and (pair[0] == toy.shape) != (pair[1] == toy.colour)
    ]
    if not absent:
        return []
    pairs = {"yes": (toy.shape, toy.colour), "no": absent[rng.integers(len(absent))]}
    return [
        ask(rng, "existence", _EXISTENCE, answer, a_name=with_article(f"{colour} {shape}"))
        for answer, (shape, colour) in pairs.items()
    ]


def _a_second(rng: np.random.Generator, toy: Toy) -> float:
    """One of the whole seconds at which a toy is seen."""
    return float(rng.choice(toy.seconds()))
