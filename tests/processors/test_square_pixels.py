import numpy as np
import pytest
import torch

from kinema.errors import InputError
from kinema.processors.square_pixels import shaped_pixels, shaped_size, square_pixels


def test_one_colour_is_normalised_by_the_statistics_of_its_channels():
    frame = np.full((4, 4, 3), 255, np.uint8)
    pixels = square_pixels([frame, frame], size=2)
    assert pixels.shape == (2, 3, 2, 2)
    expected = torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    torch.testing.assert_close(pixels[1, :, 0, 0], expected)


def test_both_sides_are_squeezed_into_the_square():
    frame = np.zeros((2, 8, 3), np.uint8)
    frame[:, 4:] = 255
    pixels = square_pixels([frame], size=4)
    assert pixels.shape == (1, 3, 4, 4)
    assert (pixels[0, 0, :, 0] < 0).all()
    assert (pixels[0, 0, :, -1] > 0).all()


def test_a_grey_picture_has_three_equal_channels():
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert torch.equal(square_pixels([grey], size=4), square_pixels([np.stack([grey] * 3, axis=2)], size=4))


def test_levels_are_those_of_eight_bits():
    frame = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    pixels = square_pixels([frame], size=4)
    levels = (
        pixels * torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        + torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    ) * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    assert levels.min() >= -1e-3
    assert levels.max() <= 255.001


@pytest.mark.parametrize(
    "frame", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3)), np.zeros((0, 2, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(frame):
    with pytest.raises(InputError, match="uint8"):
        square_pixels([frame])


def test_no_frame_is_refused():
    with pytest.raises(InputError, match="at least one"):
        square_pixels([])


@pytest.mark.parametrize(
    ("size", "expected"),
    [(224, (168, 294)), (None, (364, 644)), (28, (28, 42)), (4, (14, 14))],
)
def test_frames_that_keep_their_shape_have_sides_of_whole_patches(size, expected):
    assert shaped_size(360, 640, size=size, multiple=14) == expected


def test_a_square_that_keeps_its_shape_is_the_published_square():
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    assert torch.equal(shaped_pixels(frames, size=28), square_pixels(frames, size=28))


def test_a_frame_of_whole_patches_is_left_as_it_is():
    frame = np.random.default_rng(0).integers(0, 256, (28, 42, 3), dtype=np.uint8)
    pixels = shaped_pixels([frame], size=None)
    assert pixels.shape == (1, 3, 28, 42)
    levels = pixels[0, 0] * 0.229 + 0.485
    torch.testing.assert_close(levels * 255, torch.from_numpy(frame[..., 0]).float(), atol=1e-3, rtol=0)


def test_no_frames_are_refused_in_any_shape():
    with pytest.raises(InputError, match="no frame"):
        shaped_pixels([])
