import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kinema.errors import ConfigError, InputError
from kinema.processors.clip_pixels import MEAN, STD, CLIPPixelsConfig
from kinema.processors.depth import depth_pixels


@pytest.fixture(scope="module")
def maps(golden_dir):
    return load_file(golden_dir / "video_llava/preprocess_depth.safetensors")


def test_depth_equals_the_original_within_ten_metres_or_its_own_maximum(maps):
    checked = 0
    for key, expected in maps.items():
        name, _, case = key.partition(".")
        if case.startswith("max_depth_"):
            config = CLIPPixelsConfig(size=expected.shape[-1])
            limit_m = float(case.removeprefix("max_depth_"))
            pixels = depth_pixels(maps[f"{name}.millimetres"].numpy(), config, max_depth_m=limit_m)
            torch.testing.assert_close(pixels, expected, atol=2e-5, rtol=0)
            checked += 1
    assert checked > 0


def test_depth_of_the_published_size_equals_the_original(maps):
    names = [key.partition(".")[0] for key in maps if ".full224." in key]
    assert names
    for name in set(names):
        pixels = depth_pixels(maps[f"{name}.millimetres"].numpy(), CLIPPixelsConfig())
        expected = maps[f"{name}.full224.max_depth_10.every_8th"]
        torch.testing.assert_close(pixels[:, ::8, ::8], expected, atol=2e-5, rtol=0)
        sums = maps[f"{name}.full224.max_depth_10.channel_sums_f64"]
        torch.testing.assert_close(pixels.double().sum((1, 2)), sums, atol=2e-2, rtol=0)


@pytest.mark.parametrize(("millimetres", "level"), [(0, 0.001), (5_000, 0.5), (20_000, 1.0)])
def test_ten_metres_and_what_is_beyond_are_white(millimetres, level):
    pixels = depth_pixels(np.full((4, 4), millimetres, np.uint16), CLIPPixelsConfig(size=2))
    levels = pixels * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    torch.testing.assert_close(levels, torch.full((3, 2, 2), level))


def test_an_8_bit_map_is_refused_because_its_levels_are_no_millimetres():
    with pytest.raises(InputError, match="millimetres, in 16 bits or more, got uint8"):
        depth_pixels(np.zeros((4, 4), np.uint8), CLIPPixelsConfig())


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_a_map_without_a_number_somewhere_is_refused(missing):
    millimetres = np.full((4, 4), 2000.0)
    depth_pixels(millimetres, CLIPPixelsConfig(size=2))
    millimetres[0, 1] = missing
    with pytest.raises(InputError, match="1 of 16 here are NaN or infinite"):
        depth_pixels(millimetres, CLIPPixelsConfig(size=2))


def test_metres_are_refused_because_they_would_all_be_black():
    with pytest.raises(InputError, match=r"furthest distance here is 9\.5; if these are metres"):
        depth_pixels(np.linspace(0.3, 9.5, 16).reshape(4, 4), CLIPPixelsConfig(size=2))
    depth_pixels(np.zeros((4, 4)), CLIPPixelsConfig(size=2))  # nothing is known of any place


def test_a_map_of_three_channels_is_refused():
    with pytest.raises(InputError, match=r"must be \(H, W\)"):
        depth_pixels(np.zeros((4, 4, 3), np.uint16), CLIPPixelsConfig())


def test_a_negative_limit_is_refused():
    with pytest.raises(ConfigError, match="max_depth_m"):
        depth_pixels(np.zeros((4, 4), np.uint16), CLIPPixelsConfig(), max_depth_m=-1)
