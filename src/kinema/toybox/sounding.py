"""Films with a sound track that has nothing to do with what is seen: who does not hear can but guess it."""

from dataclasses import replace

import numpy as np

from kinema.errors import ConfigError
from kinema.toybox.invent_settings import SOUND_S
from kinema.toybox.scene import Scene
from kinema.toybox.vocabulary import SOUNDS, with_article
from kinema.toybox.world import Sound

NUM_SOUNDS = 3
"""Of each dubbed film; a film of level 1 has room for at least four."""


def dub(scene: Scene, rng: np.random.Generator, num_sounds: int = NUM_SOUNDS) -> Scene:
    """The scene with sounds of any name at any of its seconds, in place of its own.

    Every scene gets as many, and neither their names nor their times depend on what is seen. ``Sound.toy`` is
    the first toy and ``Sound.event`` is ``none``, so captions in detail, which tell causes, are not for them.

    Args:
        scene: what is seen.
        rng: chooses.
        num_sounds: how many there are, no two at once.

    Raises:
        ConfigError: if the scene is too short for so many.
    """
    num_places = int(scene.duration_s / SOUND_S)
    if not 1 <= num_sounds <= num_places:
        raise ConfigError(f"a scene of {scene.duration_s} s has room for 1 to {num_places} sounds.")
    places = np.sort(rng.choice(num_places, size=num_sounds, replace=False))
    names = rng.choice(SOUNDS, size=num_sounds)
    sounds = tuple(
        Sound(name=str(name), start_s=place * SOUND_S, end_s=(place + 1) * SOUND_S, toy=0, event="none")
        for name, place in zip(names, places.tolist(), strict=True)
    )
    return replace(scene, sounds=sounds)


def heard_caption(scene: Scene) -> str:
    """What is heard, in order, and nothing else: ``A bell, then a hiss, then a bell is heard.``

    ``Nothing is heard.`` of a silent scene.
    """
    if not scene.sounds:
        return "Nothing is heard."
    listed = ", then ".join(with_article(sound.name) for sound in scene.sounds)
    return f"{listed.capitalize()} is heard."
