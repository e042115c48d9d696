"""Crowds: many toys in one picture, most of which can be asked about."""

import numpy as np

from kinema.toybox import questions_at
from kinema.toybox.crowds import draw_crowd
from kinema.toybox.splits import HELD_OUT


def test_a_crowd_has_four_to_seven_toys_and_most_can_be_told_apart():
    sizes, num_asked = [], 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scene = draw_crowd(rng, 112, 112)
        sizes.append(len(scene.toys))
        num_asked += sum(question.kind == "size" for question in questions_at(scene, 0.0, rng))
        assert not HELD_OUT & {(toy.shape, toy.colour) for toy in scene.toys}
    assert set(sizes) == {4, 5, 6, 7}
    assert num_asked > 0.7 * sum(sizes)


def test_the_same_generator_draws_the_same_crowd():
    one, again = (draw_crowd(np.random.default_rng(7), 84, 112) for _ in range(2))
    assert one == again
    assert one.render([0.0]).shape == (1, 84, 112, 3)
