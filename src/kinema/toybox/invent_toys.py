"""Invent the toys of a shot: what they are, when they come and go, what they become."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kinema.toybox.paths import lay_out
from kinema.toybox.vocabulary import MOTIONS, SIZES
from kinema.toybox.world import Pair, Recolour, Toy


def invent_toys(
    rng: np.random.Generator,
    num_toys: int,
    start_s: float,
    end_s: float,
    *,
    pairs: Sequence[Pair],
    first_pairs: Sequence[Pair],
) -> tuple[Toy, ...]:
    """Toys of one shot, no two of which are ever seen as the same pair of shape and colour.

    Args:
        rng: chooses everything.
        num_toys: how many.
        start_s, end_s: the shot, between whole or half seconds.
        pairs: what toys may be seen as.
        first_pairs: what the first toy is, at first; a part of ``pairs``.
    """
    taken: set[Pair] = set()
    toys = []
    for index in range(num_toys):
        choices = [pair for pair in (first_pairs if index == 0 else pairs) if pair not in taken]
        shape, colour = choices[rng.integers(len(choices))]
        taken.add((shape, colour))
        toy = _invent_toy(rng, shape, colour, start_s, end_s)
        later = [c for s, c in pairs if s == shape and (s, c) not in taken]
        if later and rng.random() < 0.35:
            toy = _with_recolour(rng, toy, later)
        taken |= toy.pairs
        toys.append(toy)
    return tuple(lay_out(rng, toys))


def _invent_toy(rng: np.random.Generator, shape: str, colour: str, start_s: float, end_s: float) -> Toy:
    """A toy with its times, still without a path; seen for two seconds at least."""
    appear_s, disappear_s = start_s, end_s
    if rng.random() < 0.5:
        first_s, last_s = _half_second(start_s + 0.5), _half_second(end_s - 2.5)
        appear_s = first_s + int(rng.integers(int(last_s - first_s) + 1))
    first_s, last_s = math.floor(appear_s) + 2.5, _half_second(end_s - 1.5)
    if rng.random() < 0.5 and first_s <= last_s:
        disappear_s = first_s + int(rng.integers(int(last_s - first_s) + 1))
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


def _half_second(time_s: float) -> float:
    """The first moment from ``time_s`` on that lies in the middle of a second."""
    return math.ceil(time_s - 0.5) + 0.5
