"""Pictures of many toys at once: who is asked about one of them has to find it first.

Where a picture holds one or two toys, whatever is said of any toy in it is right half of the time, so little
is learned of which one is meant. A crowd makes guessing useless.
"""

import numpy as np

from kinema.toybox.invent_settings import plain_background
from kinema.toybox.scene import Scene
from kinema.toybox.splits import allowed_pairs
from kinema.toybox.stills import STILL_S
from kinema.toybox.vocabulary import SIZES
from kinema.toybox.world import Shot, Toy


def draw_crowd(rng: np.random.Generator, height: int, width: int) -> Scene:
    """A still of four to seven toys, at most one in each ninth of the picture.

    Args:
        rng: chooses everything.
        height, width: of the picture, in pixels.
    """
    pairs = allowed_pairs("train")
    toys = []
    for row, column in ((row, column) for row in range(3) for column in range(3)):
        shape, colour = pairs[rng.integers(len(pairs))]
        x, y = (column + rng.uniform(0.2, 0.8)) / 3, (row + rng.uniform(0.2, 0.8)) / 3
        toy = Toy(
            shape=shape,
            colour=colour,
            size=str(rng.choice(list(SIZES), p=[0.45, 0.35, 0.2])),
            motion="still",
            path=((0.0, x, y),),
            appear_s=0.0,
            disappear_s=STILL_S,
        )
        toys.append(toy)
    kept = [toys[index] for index in rng.permutation(len(toys))[: int(rng.integers(4, 8))]]
    shot = Shot(start_s=0.0, end_s=STILL_S, background=plain_background(rng), toys=tuple(kept))
    return Scene(
        seed=0, level=1, split="train", duration_s=STILL_S, shots=(shot,), height=height, width=width
    )
