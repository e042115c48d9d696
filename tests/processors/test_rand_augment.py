from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from kinema.errors import ConfigError
from kinema.processors.rand_augment import CHANGES, Change, RandAugment, change_clip

FRAMES = np.random.default_rng(0).integers(0, 200, (2, 20, 30, 3), dtype=np.uint8)
GREY = (128, 128, 128)


def moved(*matrix):
    return lambda picture: picture.transform(
        picture.size, Image.Transform.AFFINE, matrix, resample=Image.Resampling.BICUBIC, fillcolor=GREY
    )


EXPECTED = {
    "auto_contrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "invert": ImageOps.invert,
    "rotate": lambda picture: picture.rotate(-15, resample=Image.Resampling.BICUBIC, fillcolor=GREY),
    "posterize": lambda picture: ImageOps.posterize(picture, 2),
    "solarize": lambda picture: ImageOps.solarize(picture, 128),
    "solarize_add": lambda picture: picture.point(
        [*(level + 55 for level in range(128)), *range(128, 256)] * 3
    ),
    "colour": lambda picture: ImageEnhance.Color(picture).enhance(0.55),
    "contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(0.55),
    "brightness": lambda picture: ImageEnhance.Brightness(picture).enhance(0.55),
    "sharpness": lambda picture: ImageEnhance.Sharpness(picture).enhance(0.55),
    "shear_x": moved(1, -0.15, 0, 0, 1, 0),
    "shear_y": moved(1, 0, 0, -0.15, 1, 0),
    "shift_x": moved(1, 0, -6.75, 0, 1, 0),
    "shift_y": moved(1, 0, 0, 0, 1, -4.5),
}
"""What timm asks Pillow for at level 5 of 10, the other way round where there are two."""


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_the_published_one(name):
    found = change_clip(FRAMES, [Change(name, -0.5)])
    expected = [np.asarray(EXPECTED[name](Image.fromarray(frame))) for frame in FRAMES]
    assert np.array_equal(found, np.stack(expected))


def test_the_strongest_posterize_leaves_nothing():
    assert change_clip(FRAMES, [Change("posterize", 1.0)]).max() == 0


def test_changes_follow_one_another():
    both = [Change("invert", 1.0), Change("shift_x", 0.1)]
    expected = change_clip(change_clip(FRAMES, both[:1]), both[1:])
    assert np.array_equal(change_clip(FRAMES, both), expected)


def test_every_frame_is_changed_alike_and_the_same_generator_draws_the_same():
    still = np.repeat(FRAMES[:1], 3, axis=0)
    augment = RandAugment(share=1.0)
    changed = augment(still, np.random.default_rng(5))
    assert np.array_equal(changed[0], changed[2])
    assert np.array_equal(changed, augment(still, np.random.default_rng(5)))
    assert not np.array_equal(changed, augment(still, np.random.default_rng(6)))


def test_half_of_four_changes_are_made_about_as_strong_as_asked_either_way():
    rng = np.random.default_rng(0)
    drawn = [RandAugment().draw(rng) for _ in range(3000)]
    changes = [change for draw in drawn for change in draw]
    assert np.mean([len(draw) for draw in drawn]) == pytest.approx(2.0, abs=0.1)
    assert np.mean([abs(change.strength) for change in changes]) == pytest.approx(0.7, abs=0.01)
    assert np.std([abs(change.strength) for change in changes]) == pytest.approx(0.05, abs=0.005)
    assert np.mean([change.strength > 0 for change in changes]) == pytest.approx(0.5, abs=0.05)
    counts = Counter(change.name for change in changes)
    assert set(counts) == set(CHANGES)
    assert max(counts.values()) < 1.4 * min(counts.values())


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match=r"got 11 and 0\.5"):
        RandAugment(magnitude=11)
    with pytest.raises(ConfigError, match=r"got 0 and 0\.5"):
        RandAugment(num_changes=0)
