from dataclasses import replace

import numpy as np
import pytest
import torch

from kinema.errors import ConfigError, InputError
from kinema.processors.augment import ClipAugmentation, RandomErasing
from kinema.processors.rand_augment import RandAugment
from kinema.processors.random_crops import AreaCrop
from kinema.processors.square_pixels import square_pixels

WHOLE = ClipAugmentation(crop=AreaCrop(min_area=1.0, max_aspect=1.0), flip_share=0.0)
"""Nothing but what every network is given."""

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)


def seeded(augmentation, seed=0, **settings):
    return augmentation(FRAMES, 28, np.random.default_rng(seed), **settings)


def test_without_draws_it_is_what_inference_sees():
    torch.testing.assert_close(seeded(WHOLE), square_pixels(FRAMES, size=28))


def test_half_of_the_clips_are_mirrored_every_frame_of_them():
    plain = seeded(WHOLE)
    mirrored = [seeded(replace(WHOLE, flip_share=0.5), seed) for seed in range(60)]
    assert all(torch.equal(view, plain) or torch.equal(view, plain.flip(-1)) for view in mirrored)
    assert 20 <= sum(torch.equal(view, plain) for view in mirrored) <= 40


def test_a_clip_that_may_not_be_mirrored_is_not_and_is_cropped_as_it_would_have_been():
    flips = replace(WHOLE, crop=AreaCrop(), flip_share=1.0)
    kept = seeded(flips, may_flip=False)
    assert torch.equal(kept, seeded(flips).flip(-1))


def test_the_same_generator_draws_the_same_view_and_another_one_another():
    full = ClipAugmentation(
        crop=AreaCrop(), rand_augment=RandAugment(), erasing=RandomErasing(share=1.0), flip_share=0.5
    )
    assert torch.equal(seeded(full, 3), seeded(full, 3))
    assert not torch.equal(seeded(full, 3), seeded(full, 4))


def test_a_rectangle_of_every_frame_becomes_noise_of_its_own():
    pixels = torch.full((4, 3, 40, 60), 9.0)
    erased = RandomErasing(share=1.0)(pixels, np.random.default_rng(0))
    gone = erased != 9.0
    assert torch.equal(gone, gone[:1, :1].expand_as(gone))
    rows, columns = (gone[0, 0].any(axis).nonzero().flatten() for axis in (1, 0))
    assert gone[0, 0].sum() == len(rows) * len(columns)  # a rectangle
    assert 0.02 <= gone.float().mean() <= 0.34
    noise = erased[gone]
    assert noise.mean().abs() < 0.1
    assert noise.std().item() == pytest.approx(1.0, abs=0.1)
    first, second = erased[0][gone[0]], erased[1][gone[1]]
    assert not torch.equal(first, second)
    assert (pixels == 9.0).all()  # what came in is left alone


def test_a_quarter_of_the_clips_is_erased():
    rng = np.random.default_rng(0)
    pixels = torch.full((1, 3, 14, 14), 9.0)
    erased = [not torch.equal(RandomErasing()(pixels, rng), pixels) for _ in range(400)]
    assert 0.18 < np.mean(erased) < 0.32


def test_what_is_no_clip_is_refused():
    with pytest.raises(InputError, match=r"got float64 \(2, 28, 28, 3\)"):
        WHOLE(np.zeros((2, 28, 28, 3)), 28, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"got uint8 \(0, 28, 28, 3\)"):
        WHOLE(FRAMES[:0], 28, np.random.default_rng(0))


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="got 2"):
        replace(WHOLE, flip_share=2)
    with pytest.raises(ConfigError, match="share=-1"):
        RandomErasing(share=-1)
