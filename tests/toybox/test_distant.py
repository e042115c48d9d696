import numpy as np
import pytest

from kinema.toybox.distant import draw_distant_toy
from kinema.toybox.vocabulary import SHAPES


@pytest.mark.parametrize("shape", SHAPES)
def test_a_toy_of_12_to_16_pixels_lies_wholly_in_the_picture(shape):
    for seed in range(10):
        picture = draw_distant_toy(shape, 60, 90, np.random.default_rng(seed)).astype(int)
        assert picture.shape == (60, 90, 3)
        saturation = picture.max(-1) - picture.min(-1)
        rows, columns = np.nonzero(saturation > 60)  # all toys have a colour, no background has
        assert 9 <= np.ptp(rows) + 1 <= 17
        assert 9 <= np.ptp(columns) + 1 <= 17


def test_the_generator_decides_all_but_the_shape():
    one, other = (draw_distant_toy("star", 56, 56, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, draw_distant_toy("ring", 56, 56, np.random.default_rng(3)))
