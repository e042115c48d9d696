import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kinema.errors import ConfigError, InputError
from kinema.processors.clip_pixels import (
    PAD_COLOUR,
    CLIPPixelsConfig,
    crop_offset,
    image_pixels,
    image_size,
    pad_to_square,
    video_pixels,
    video_size,
)

IMAGE, VIDEO = {"atol": 2e-5, "rtol": 0}, {"atol": 5e-5, "rtol": 0}
SUMS = {"atol": 2e-2, "rtol": 0}


@pytest.fixture(scope="module")
def sizes(golden_dir):
    return json.loads((golden_dir / "video_llava/preprocess_visual.json").read_text())


@pytest.fixture(scope="module")
def images(golden_dir):
    return load_file(golden_dir / "video_llava/preprocess_image.safetensors")


@pytest.fixture(scope="module")
def videos(golden_dir):
    return load_file(golden_dir / "video_llava/preprocess_video.safetensors")


def test_pictures_equal_the_original_cropped_or_padded_with_antialias_or_without(images, sizes):
    checked = 0
    for key, expected in images.items():
        name, _, case = key.partition(".")
        if not case.startswith(("crop", "pad")) or name == "full224":
            continue
        fit, _, antialias = case.partition(".")
        config = CLIPPixelsConfig(
            size=sizes["output_size"], image_fit=fit, antialias=antialias == "antialias"
        )
        pixels = image_pixels(images[f"{name}.uint8"].numpy(), config)
        torch.testing.assert_close(pixels, expected, **IMAGE, msg=lambda text, key=key: f"{key}: {text}")
        checked += 1
    assert checked > 0


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_picture_of_the_published_size_equals_the_original(images, fit):
    pixels = image_pixels(images["full224.uint8"].numpy(), CLIPPixelsConfig(image_fit=fit))
    torch.testing.assert_close(pixels[:, ::8, ::8], images[f"full224.{fit}.every_8th"], **IMAGE)
    torch.testing.assert_close(pixels[:, :20, :20], images[f"full224.{fit}.top_left_20"], **IMAGE)
    sums = pixels.double().sum((1, 2))
    torch.testing.assert_close(sums, images[f"full224.{fit}.channel_sums_f64"], **SUMS)


def test_videos_equal_the_original(videos, sizes):
    for name in sizes["videos"]:
        pixels = video_pixels(videos[f"{name}.uint8"].numpy(), size=sizes["output_size"])
        torch.testing.assert_close(pixels.transpose(0, 1), videos[f"{name}.pixels"], **VIDEO)


def test_a_video_of_the_published_size_equals_the_original(videos):
    pixels = video_pixels(videos["full224.uint8"].numpy()).transpose(0, 1)  # (3, T, 224, 224)
    torch.testing.assert_close(pixels[..., ::16, ::16], videos["full224.every_16th"], **VIDEO)
    torch.testing.assert_close(pixels[:, 0, :20, :20], videos["full224.frame0_top_left_20"], **VIDEO)
    sums = pixels.double().sum((2, 3))
    torch.testing.assert_close(sums, videos["full224.channel_frame_sums_f64"], **SUMS)


def test_sizes_and_offsets_equal_the_original(sizes):
    for kind, rule in (("images", image_size), ("videos", video_size)):
        for case in sizes[kind].values():
            resized = rule(case["height"], case["width"], sizes["output_size"])
            assert list(resized) == case["resized"]
            assert [crop_offset(side, sizes["output_size"]) for side in resized] == case["crop_offset"]
    assert list(PAD_COLOUR) == sizes["pad_colour"]


def test_a_frame_may_be_a_pixel_shorter_than_a_picture_of_its_size():
    assert image_size(28, 61, 224) == (224, 488)
    assert video_size(28, 61, 224) == (224, 487)


def test_half_a_pixel_is_cut_off_the_side_that_makes_the_offset_even():
    assert [crop_offset(length, 10) for length in (11, 13, 15)] == [0, 2, 2]


def test_a_picture_is_padded_on_both_sides_with_the_mean_colour():
    square = pad_to_square(np.zeros((1, 4, 3), np.uint8))
    assert square[:, 0].tolist() == [[122, 116, 104], [0, 0, 0], [122, 116, 104], [122, 116, 104]]


def test_frames_may_come_one_at_a_time():
    frames = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    assert torch.equal(video_pixels(iter(frames), size=4), video_pixels(frames, size=4))


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(InputError, match="must be uint8"):
        image_pixels(picture, CLIPPixelsConfig())
    with pytest.raises(InputError, match="must be uint8"):
        video_pixels([picture])


def test_a_video_without_frames_is_refused():
    with pytest.raises(InputError, match="at least one frame"):
        video_pixels([])


@pytest.mark.parametrize(("field", "value"), [("size", 0), ("image_fit", "stretch")])
def test_settings_that_cannot_work_are_refused(field, value):
    with pytest.raises(ConfigError, match=field):
        replace(CLIPPixelsConfig(), **{field: value})
