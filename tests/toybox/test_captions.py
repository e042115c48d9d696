"""Captions say what the facts say."""

import pytest

from kinema.errors import InputError
from kinema.toybox import Scene, caption_at, detailed_caption, short_caption
from kinema.toybox.world import Background, Recolour, Shot, Toy

CIRCLE = Toy(
    shape="circle",
    colour="red",
    size="large",
    motion="left",
    path=((0.0, 0.8, 0.2), (6.0, 0.2, 0.2)),
    appear_s=0.0,
    disappear_s=6.0,
)
STAR = Toy(
    shape="star",
    colour="orange",
    size="small",
    motion="still",
    path=((2.5, 0.8, 0.8),),
    appear_s=2.5,
    disappear_s=5.5,
    recolour=Recolour(at_s=3.5, colour="blue"),
)
GREY = Background(tone="grey", rgb=(140, 140, 140))


def scene_of(*toys: Toy) -> Scene:
    shot = Shot(start_s=0.0, end_s=6.0, background=GREY, toys=toys)
    return Scene(seed=0, level=1, split="test", duration_s=6.0, shots=(shot,))


def test_the_short_caption_tells_what_each_toy_does():
    assert short_caption(scene_of(CIRCLE, STAR)) == (
        "A large red circle moves left. "
        "A small orange star appears at 2.5 s, stays still, turns blue at 3.5 s and disappears at 5.5 s."
    )


def test_the_detailed_caption_tells_times_and_places():
    assert detailed_caption(scene_of(CIRCLE, STAR)) == (
        "The background is grey. "
        "A large red circle is visible from 0.0 s to 6.0 s. "
        "It moves left from the top right to the top left. "
        "A small orange star is visible from 2.5 s to 5.5 s. It stays still at the bottom right. "
        "It turns blue at 3.5 s."
    )


def test_the_caption_of_a_picture_tells_what_is_there_at_that_time():
    scene = scene_of(CIRCLE, STAR)
    assert caption_at(scene, 0.0) == "A large red circle is at the top right."
    assert caption_at(scene, 3.0).endswith("A small orange star is at the bottom right.")
    assert caption_at(scene, 4.0).endswith("A small blue star is at the bottom right.")
    assert caption_at(scene_of(STAR), 0.0) == "There is no object."


def test_the_caption_of_a_time_outside_the_scene_is_refused():
    with pytest.raises(InputError, match="lasts from 0 to 6"):
        caption_at(scene_of(STAR), 6.0)
