"""Invent a scene from a seed."""

import math
from dataclasses import replace

import numpy as np

from kinema.errors import ConfigError
from kinema.toybox.paths import lay_out
from kinema.toybox.scene import Scene
from kinema.toybox.splits import HELD_OUT, allowed_pairs, split_generator
from kinema.toybox.vocabulary import BACKGROUNDS, MOTIONS, SIZES
from kinema.toybox.world import Background, Recolour, Shot, Toy

Pair = tuple[str, str]


def make_scene(
    seed: int, *, level: int = 1, split: str = "train", height: int = 112, width: int = 112
) -> Scene:
    """The scene of a seed: the same seed, level and split give the same facts, at any size.

    Level 1 is one shot of four to eight seconds with one or two toys on a plain background. Toys appear,
    disappear and change colour halfway between two whole seconds, so that one frame a second resolves every
    event.

    Raises:
        ConfigError: if the level or the split is unknown, or the seed is negative.
    """
    if level not in _LEVELS:
        raise ConfigError(f"level must be one of {', '.join(map(str, _LEVELS))}, got {level}.")
    rng = split_generator(seed, level, split)
    shots = _LEVELS[level](rng, split)
    return Scene(
        seed=seed,
        level=level,
        split=split,
        duration_s=shots[-1].end_s,
        shots=shots,
        height=height,
        width=width,
    )


def _level_1(rng: np.random.Generator, split: str) -> tuple[Shot, ...]:
    duration_s = float(rng.integers(4, 9))
    num_toys = int(rng.choice([1, 2], p=[0.4, 0.6]))
    toys = _draw_toys(rng, split, num_toys, 0.0, duration_s)
    return (Shot(start_s=0.0, end_s=duration_s, background=_plain_background(rng), toys=toys),)


def _draw_toys(
    rng: np.random.Generator, split: str, num_toys: int, start_s: float, end_s: float
) -> tuple[Toy, ...]:
    """Toys of one shot, no two of which are ever seen as the same pair of shape and colour."""
    pairs = allowed_pairs(split)
    taken: set[Pair] = set()
    toys = []
    for index in range(num_toys):
        must_hold_out = split == "test_combinations" and index == 0
        choices = [pair for pair in pairs if pair not in taken and (pair in HELD_OUT or not must_hold_out)]
        shape, colour = choices[rng.integers(len(choices))]
        taken.add((shape, colour))
        toy = _draw_toy(rng, shape, colour, start_s, end_s)
        if rng.random() < 0.35:
            later = [c for s, c in pairs if s == shape and (s, c) not in taken]
            toy = _with_recolour(rng, toy, later)
        taken |= toy.pairs
        toys.append(toy)
    return tuple(lay_out(rng, toys))


def _draw_toy(rng: np.random.Generator, shape: str, colour: str, start_s: float, end_s: float) -> Toy:
    """A toy with its times, still without a path; seen for two seconds at least."""
    appear_s, disappear_s = start_s, end_s
    if rng.random() < 0.5:
        appear_s = start_s + 0.5 + int(rng.integers(int(end_s - start_s) - 2))
    if rng.random() < 0.5 and appear_s + 2 <= end_s - 1.5:
        first_s = math.floor(appear_s) + 2.5
        disappear_s = first_s + int(rng.integers(int(end_s - 0.5 - first_s)))
    return Toy(
        shape=shape,
        colour=colour,
        size=str(rng.choice(list(SIZES))),
        motion=str(rng.choice(list(MOTIONS))),
        path=(),
        appear_s=appear_s,
        disappear_s=disappear_s,
    )


def _with_recolour(rng: np.random.Generator, toy: Toy, colours: list[str]) -> Toy:
    """The toy, changing colour between two of the whole seconds at which it is seen."""
    at_s = float(rng.choice(toy.seconds()[1:])) - 0.5
    return replace(toy, recolour=Recolour(at_s=at_s, colour=str(rng.choice(colours))))


def _plain_background(rng: np.random.Generator) -> Background:
    """One of the plain tones, a little lighter or darker."""
    name = str(rng.choice(list(BACKGROUNDS)))
    shade = int(rng.integers(-16, 17))
    red, green, blue = (min(level + shade, 255) for level in BACKGROUNDS[name])
    return Background(name=name, rgb=(red, green, blue))


_LEVELS = {1: _level_1}
