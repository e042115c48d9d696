import numpy as np
import pytest

from kinema.toybox import make_scene, questions
from kinema.toybox.sprites import shape_mask
from kinema.toybox.vocabulary import NEW_SHAPE, SHAPES


def shapes_of(scene):
    return {toy.shape for shot in scene.shots for toy in shot.toys}


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("split", ["new_shape", "new_shape_test"])
def test_every_scene_of_its_splits_shows_the_new_shape(level, split):
    assert all(NEW_SHAPE in shapes_of(make_scene(seed, level=level, split=split)) for seed in range(20))


@pytest.mark.parametrize("split", ["train", "validation", "test", "test_combinations"])
def test_no_other_split_shows_or_names_it(split):
    for seed in range(50):
        scene = make_scene(seed, level=2, split=split)
        assert NEW_SHAPE not in shapes_of(scene)
        asked = questions(scene, np.random.default_rng(seed), 50)
        assert not any(NEW_SHAPE in question.text + question.answer for question in asked)


def test_the_other_shapes_stay_beside_it():
    seen = set().union(*(shapes_of(make_scene(seed, level=1, split="new_shape")) for seed in range(100)))
    assert seen == {*SHAPES, NEW_SHAPE}


def test_a_heart_is_wide_above_and_pointed_below():
    widths = (shape_mask(NEW_SHAPE, 4 * 40, 0, 0)[..., 0] > 128).sum(axis=1)
    widths = widths[widths > 0]
    top, bottom = widths[len(widths) // 4], widths[-len(widths) // 6]
    assert top > 2 * bottom
    assert widths[-1] < 0.2 * widths.max()
