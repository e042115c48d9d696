from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kinema.errors import ConfigError
from kinema.toybox import make_scene
from kinema.toybox.sounding import dub, heard_caption
from kinema.toybox.world import Sound


def test_every_film_gets_three_sounds_apart_from_one_another():
    for seed in range(50):
        scene = dub(make_scene(seed), np.random.default_rng(seed))
        starts = [sound.start_s for sound in scene.sounds]
        assert len(starts) == 3
        assert all(later - earlier >= 1.0 for earlier, later in pairwise(starts))
        assert scene.sounds[-1].end_s <= scene.duration_s


def test_what_is_heard_does_not_depend_on_what_is_seen():
    short, other = (replace(make_scene(seed), duration_s=5.0) for seed in (1, 2))
    assert dub(short, np.random.default_rng(0)).sounds == dub(other, np.random.default_rng(0)).sounds


def test_a_caption_names_what_is_heard_in_order_and_nothing_else():
    sounds = tuple(
        Sound(name=name, start_s=start_s, end_s=start_s + 1, toy=0, event="none")
        for name, start_s in (("bell", 0.0), ("hiss", 2.0))
    )
    scene = make_scene(0)
    assert heard_caption(replace(scene, sounds=sounds)) == "A bell, then a hiss is heard."
    assert heard_caption(scene) == "Nothing is heard."


def test_a_film_has_no_room_for_more_sounds_than_seconds():
    with pytest.raises(ConfigError, match="room for 1 to 4 sounds"):
        dub(replace(make_scene(0), duration_s=4.0), np.random.default_rng(0), num_sounds=5)
