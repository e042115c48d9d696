"""What a speaker says in a film, as a transcript: speech reaches InternVideo2 as text, never as sound."""

import numpy as np

from kinema.toybox.generate import make_scene
from kinema.toybox.scene import Scene
from kinema.toybox.vocabulary import place_at

TRUE_SHARE = 0.5
"""Of remarks, the part that is about the film; the rest is talk of what it does not show."""


def remark(scene: Scene, rng: np.random.Generator) -> str:
    """Where a toy is when it appears, which ``short_caption`` leaves out: ``The red ring is at the top.``

    Half of the remarks are about a toy of another film: who speaks need not speak of what is seen.

    Args:
        scene: what is seen; it has a toy.
        rng: chooses.
    """
    if rng.random() >= TRUE_SHARE:
        scene = make_scene(int(rng.integers(2**62)))
    toy = scene.toys[int(rng.integers(len(scene.toys)))]
    return f"The {toy.colour} {toy.shape} is at the {place_at(*toy.position(toy.appear_s))}."
