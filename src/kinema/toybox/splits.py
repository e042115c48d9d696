"""What is held out: scenes by seed, pairs of shape and colour that are never trained, and a whole shape.

A scene is drawn from a generator seeded with (seed, level, split), so two splits share no scene even where
they share a number. The pairs of ``HELD_OUT`` occur in ``test_combinations`` only; every shape and every
colour of theirs is still seen in training, in other pairs. ``NEW_SHAPE`` occurs in the two splits that are
named after it: whoever fine-tunes a model on the one asks it about the other.
"""

import numpy as np

from kinema.errors import ConfigError
from kinema.toybox.vocabulary import COLOURS, NEW_SHAPE, SHAPES

NEW_SHAPE_SPLITS = ("new_shape", "new_shape_test")

SPLITS = ("train", "validation", "test", "test_combinations", *NEW_SHAPE_SPLITS)

HELD_OUT = frozenset(
    {
        ("circle", "purple"),
        ("square", "orange"),
        ("triangle", "cyan"),
        ("star", "green"),
        ("cross", "pink"),
        ("ring", "red"),
    }
)
"""Pairs of (shape, colour) that no split but ``test_combinations`` shows or asks about."""


def allowed_pairs(split: str) -> list[tuple[str, str]]:
    """Pairs of (shape, colour) that scenes of a split are made of, in a fixed order."""
    shapes = (*SHAPES, NEW_SHAPE) if split in NEW_SHAPE_SPLITS else SHAPES
    pairs = [(shape, colour) for shape in shapes for colour in COLOURS]
    return pairs if split == "test_combinations" else [pair for pair in pairs if pair not in HELD_OUT]


def must_show(pairs: list[tuple[str, str]], split: str) -> list[tuple[str, str]]:
    """Of some pairs, what the first toy of a scene may be: what the split is there for."""
    if split in NEW_SHAPE_SPLITS:
        return [(shape, colour) for shape, colour in pairs if shape == NEW_SHAPE]
    return [pair for pair in pairs if pair in HELD_OUT] if split == "test_combinations" else pairs


def split_generator(seed: int, level: int, split: str) -> np.random.Generator:
    """The generator that one scene is drawn from.

    Raises:
        ConfigError: if the split is not one of ``SPLITS``, or the seed is negative.
    """
    if split not in SPLITS:
        raise ConfigError(f"split must be one of {', '.join(SPLITS)}, got {split!r}.")
    if seed < 0:
        raise ConfigError(f"seed must be 0 or above, got {seed}.")
    return np.random.default_rng([seed, level, SPLITS.index(split)])
