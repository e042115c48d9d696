"""Scenes come from their seed alone and keep the promises of their level."""

import pytest

from kinema.errors import ConfigError
from kinema.toybox import HELD_OUT, SPLITS, make_scene
from kinema.toybox.paths import smallest_gap
from kinema.toybox.vocabulary import COLOURS, SHAPES

MANY = range(200)


def test_the_same_seed_gives_the_same_scene():
    assert make_scene(7) == make_scene(7)
    assert make_scene(7) != make_scene(8)


def test_the_size_of_the_picture_does_not_change_the_facts():
    assert make_scene(7, height=64, width=200).resized(112, 112) == make_scene(7)


def test_splits_share_no_scene_where_they_share_a_seed():
    shots = [make_scene(7, split=split).shots for split in SPLITS]
    assert all(one != other for i, one in enumerate(shots) for other in shots[:i])


@pytest.mark.parametrize("arguments", [{"level": 9}, {"split": "holdout"}, {"seed": -1}])
def test_what_cannot_be_made_is_refused(arguments):
    with pytest.raises(ConfigError, match="must be"):
        make_scene(**{"seed": 0, **arguments})


def test_events_of_level_1_fall_between_two_whole_seconds():
    for seed in MANY:
        scene = make_scene(seed)
        for toy in scene.toys:
            assert toy.appear_s == 0 or toy.appear_s % 1 == 0.5
            assert toy.disappear_s == scene.duration_s or toy.disappear_s % 1 == 0.5
            assert toy.disappear_s - toy.appear_s >= 2
            assert toy.recolour is None or toy.recolour.at_s % 1 == 0.5


def test_a_change_of_colour_is_seen_from_both_sides_at_one_frame_a_second():
    changing = [toy for seed in MANY for toy in make_scene(seed).toys if toy.recolour is not None]
    assert len(changing) > 50
    for toy in changing:
        assert {toy.colour_at(second) for second in toy.seconds()} == {toy.colour, toy.recolour.colour}


def test_toys_stay_inside_the_picture_and_move_far_enough_to_be_seen():
    for toy in (toy for seed in MANY for toy in make_scene(seed).toys):
        places = toy.positions([time_s for time_s, _, _ in toy.path])
        radius = toy.diameter / 2
        assert places.min() >= radius
        assert places.max() <= 1 - radius
        way = (places.max(axis=0) - places.min(axis=0)).max()
        assert way == 0 if toy.motion == "still" else way >= 0.35 or toy.motion == "in a circle"


@pytest.mark.parametrize(
    ("motion", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)]
)
def test_a_motion_goes_where_its_name_says(motion, axis, sign):
    toys = [toy for seed in MANY for toy in make_scene(seed).toys if toy.motion == motion]
    assert len(toys) > 10
    for toy in toys:
        step = toy.positions([toy.disappear_s])[0] - toy.positions([toy.appear_s])[0]
        assert step[axis] * sign >= 0.35
        assert step[1 - axis] == 0


def test_toys_rarely_overlap():
    pairs = [scene.toys for scene in map(make_scene, MANY) if len(scene.toys) == 2]
    assert sum(smallest_gap(list(toys)) < 0 for toys in pairs) <= 0.05 * len(pairs)


def test_held_out_pairs_are_seen_in_their_own_split_only():
    for seed in MANY:
        assert not HELD_OUT & set().union(*(toy.pairs for toy in make_scene(seed, split="train").toys))
        assert HELD_OUT & set().union(
            *(toy.pairs for toy in make_scene(seed, split="test_combinations").toys)
        )


def test_every_shape_and_every_colour_is_trained():
    pairs = set().union(*(toy.pairs for seed in range(500) for toy in make_scene(seed).toys))
    assert len(HELD_OUT) == 6
    assert pairs == {(shape, colour) for shape in SHAPES for colour in COLOURS} - HELD_OUT
