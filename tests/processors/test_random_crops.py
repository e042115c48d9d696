import numpy as np
import pytest
import torch
from PIL import Image

from kinema.errors import ConfigError
from kinema.processors.random_crops import AreaCrop, Box, MultiScaleCrop

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 40, 60, 3), dtype=np.uint8)


def test_a_box_of_several_scales_lies_at_one_of_thirteen_places():
    (places,) = MultiScaleCrop(scales=(0.5,)).boxes(40, 60, 14)
    assert {(box.height, box.width) for box in places} == {(20, 20)}
    grid = {(top, left) for top in (0, 10, 20) for left in (0, 20, 40)}
    assert {(box.top, box.left) for box in places} == grid | {(5, 10), (5, 30), (15, 10), (15, 30)}


def test_sides_of_a_box_are_equal_or_neighbours_in_the_list_of_scales():
    boxes = MultiScaleCrop().boxes(100, 200, 14)
    sides = [(places[0].height, places[0].width) for places in boxes]
    assert sides == [
        *((100, 100), (100, 87)),
        *((87, 100), (87, 87), (87, 75)),
        *((75, 87), (75, 75), (75, 66)),
        *((66, 75), (66, 66)),
    ]


def test_a_side_that_is_almost_right_is_not_resampled():
    boxes = MultiScaleCrop(scales=(0.5,)).boxes(40, 60, 22)
    assert boxes[0][0] == Box(0, 0, 22, 22)
    rounded = MultiScaleCrop(scales=(1.0,)).boxes(21, 21, 22)
    assert rounded[0][0] == Box(0, 0, 21, 21)  # a frame has no more pixels than it has


def test_several_scales_are_resampled_by_pillow():
    crop = MultiScaleCrop(scales=(0.75,))
    (places,) = crop.boxes(40, 60, 14)
    found = crop(FRAMES, 14, np.random.default_rng(0)).permute(0, 2, 3, 1).numpy().astype(np.uint8)
    expected = [
        np.stack(
            [
                np.asarray(
                    Image.fromarray(frame)
                    .resize((14, 30), Image.Resampling.BILINEAR)
                    .resize((14, 14), Image.Resampling.BILINEAR)
                )
                for frame in box.cut(FRAMES)
            ]
        )
        for box in places
    ]
    assert sum(np.array_equal(found, squares) for squares in expected) == 1


def test_a_box_by_area_is_nearly_square_and_inside_the_frame():
    rng = np.random.default_rng(0)
    boxes = [AreaCrop(min_area=0.08).draw(240, 320, rng) for _ in range(2000)]
    shares = np.array([box.height * box.width / (240 * 320) for box in boxes])
    aspects = np.array([box.width / box.height for box in boxes])
    assert 0.078 < shares.min() < 0.1
    assert 0.9 < shares.max() <= 1.0
    assert 0.74 < aspects.min() < 0.78
    assert 1.28 < aspects.max() < 1.36
    assert all(box.top + box.height <= 240 and box.left + box.width <= 320 for box in boxes)


def test_of_a_frame_too_long_for_any_box_the_middle_is_taken():
    assert AreaCrop(min_area=0.9).draw(10, 100, np.random.default_rng(0)) == Box(0, 43, 10, 13)
    assert AreaCrop(min_area=0.9).draw(100, 10, np.random.default_rng(0)) == Box(43, 0, 13, 10)


def test_bilinear_keeps_fractions_and_bicubic_rounds_them():
    bilinear = AreaCrop()(FRAMES, 14, np.random.default_rng(0))
    bicubic = AreaCrop(resampling="bicubic")(FRAMES, 14, np.random.default_rng(0))
    assert bilinear.shape == bicubic.shape == (2, 3, 14, 14)
    assert not torch.equal(bilinear, bilinear.round())
    assert torch.equal(bicubic, bicubic.round())
    assert 0 <= bicubic.min() <= bicubic.max() <= 255


def test_a_crop_of_all_of_a_square_is_the_frame_itself():
    square = FRAMES[:, :, :40]
    found = AreaCrop(min_area=1.0, max_aspect=1.0)(square, 40, np.random.default_rng(0))
    assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), square)


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match=r"got \(1\.0, 1\.2\)"):
        MultiScaleCrop(scales=(1.0, 1.2))
    with pytest.raises(ConfigError, match=r"got 0\.0 and 1\.33"):
        AreaCrop(min_area=0.0)
