"""Invent a scene from a seed, at one of three levels."""

from collections.abc import Callable

import numpy as np

from kinema.errors import ConfigError
from kinema.toybox.invent_settings import (
    invent_camera,
    invent_sounds,
    invent_word,
    patterned_background,
    plain_background,
)
from kinema.toybox.invent_toys import invent_toys
from kinema.toybox.scene import Scene
from kinema.toybox.splits import NEW_SHAPE_SPLITS, allowed_pairs, must_show, split_generator
from kinema.toybox.vocabulary import NEW_SHAPE, SHAPES
from kinema.toybox.world import Shot, Sound, Toy

_DISSOLVE_S = 0.5
"""Shorter than the way to the next whole second: a reader at one frame a second sees no mixed picture."""

Invented = tuple[tuple[Shot, ...], tuple[Sound, ...]]


def make_scene(
    seed: int, *, level: int = 1, split: str = "train", height: int = 112, width: int = 112
) -> Scene:
    """The scene of a seed: the same seed, level and split give the same facts, at any size.

    Level 1 is one shot of 4 to 8 s with one or two toys on a plain background. Level 2 is one to four shots,
    8 to 30 s in all, with up to four toys each, patterns, grain, pans, words, sounds, cuts and dissolves.
    Level 3 is 1 to 4 minutes of many shots, in one of which is the needle: a toy whose shape no other shot
    shows.

    Everything happens halfway between two whole seconds, so that one frame a second resolves every event.

    Raises:
        ConfigError: if the level or the split is unknown, or the seed is negative.
    """
    if level not in LEVELS:
        raise ConfigError(f"level must be one of {', '.join(map(str, LEVELS))}, got {level}.")
    rng = split_generator(seed, level, split)
    shots, sounds = LEVELS[level](rng, split)
    return Scene(
        seed=seed,
        level=level,
        split=split,
        duration_s=shots[-1].end_s,
        shots=shots,
        sounds=sounds,
        height=height,
        width=width,
    )


def _level_1(rng: np.random.Generator, split: str) -> Invented:
    duration_s = float(rng.integers(4, 9))
    num_toys = int(rng.choice([1, 2], p=[0.4, 0.6]))
    pairs = allowed_pairs(split)
    toys = invent_toys(rng, num_toys, 0.0, duration_s, pairs=pairs, first_pairs=must_show(pairs, split))
    return (Shot(start_s=0.0, end_s=duration_s, background=plain_background(rng), toys=toys),), ()


def _level_2(rng: np.random.Generator, split: str) -> Invented:
    """No pair of shape and colour is seen twice, so that every toy can be named."""
    edges_s = _shot_edges(rng, num_shots=int(rng.integers(1, 5)), shortest_s=5, longest_s=7)
    most_toys = 4 if len(edges_s) == 1 else 3
    pairs = allowed_pairs(split)
    shots: list[Shot] = []
    for start_s, end_s in edges_s:
        num_toys = int(rng.integers(1, most_toys + 1))
        first_pairs = pairs if shots else must_show(pairs, split)
        toys = invent_toys(rng, num_toys, start_s, end_s, pairs=pairs, first_pairs=first_pairs)
        pairs = [pair for pair in pairs if not any(pair in toy.pairs for toy in toys)]
        shots.append(_furnish(rng, toys, start_s, end_s))
    return tuple(shots), invent_sounds(rng, shots, share=0.5)


def _level_3(rng: np.random.Generator, split: str) -> Invented:
    """The shape of the needle is left out of all shots but one."""
    edges_s = _shot_edges(rng, num_shots=int(rng.integers(10, 31)), shortest_s=6, longest_s=8)
    pairs = allowed_pairs(split)
    shape = SHAPES[rng.integers(len(SHAPES))]
    if split in NEW_SHAPE_SPLITS:
        shape = NEW_SHAPE
    needles = must_show([pair for pair in pairs if pair[0] == shape], split)
    hay = [pair for pair in pairs if pair[0] != shape]
    needle_shot = int(rng.integers(len(edges_s)))
    shots: list[Shot] = []
    for index, (start_s, end_s) in enumerate(edges_s):
        if index == needle_shot:
            toys = invent_toys(rng, 1, start_s, end_s, pairs=[*needles, *hay], first_pairs=needles)
        else:
            num_toys = int(rng.integers(1, 3))
            toys = invent_toys(rng, num_toys, start_s, end_s, pairs=hay, first_pairs=hay)
        shots.append(_furnish(rng, toys, start_s, end_s))
    return tuple(shots), invent_sounds(rng, shots, share=0.1)


def _shot_edges(
    rng: np.random.Generator, num_shots: int, shortest_s: int, longest_s: int
) -> list[tuple[float, float]]:
    """Starts and ends of shots; a single one lasts at least 8 s. Cuts lie halfway between whole seconds."""
    if num_shots == 1:
        shortest_s, longest_s = 8, 12
    lengths = rng.integers(shortest_s, longest_s + 1, size=num_shots)
    ends = np.cumsum(lengths).astype(float)
    cuts = (ends[:-1] - 0.5).tolist()
    return list(zip([0.0, *cuts], [*cuts, float(ends[-1])], strict=True))


def _furnish(rng: np.random.Generator, toys: tuple[Toy, ...], start_s: float, end_s: float) -> Shot:
    """A shot around its toys."""
    background = patterned_background(rng)
    word = invent_word(rng, toys, start_s, end_s) if rng.random() < 0.5 else None
    return Shot(
        start_s=start_s,
        end_s=end_s,
        background=background,
        toys=toys,
        words=() if word is None else (word,),
        camera=invent_camera(rng, background),
        grain=int(rng.choice([0, 0, 4, 8])),
        dissolve_s=_DISSOLVE_S if start_s > 0 and rng.random() < 0.4 else 0.0,
    )


LEVELS: dict[int, Callable[[np.random.Generator, str], Invented]] = {1: _level_1, 2: _level_2, 3: _level_3}
