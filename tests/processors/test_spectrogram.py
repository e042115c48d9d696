import json

import pytest
import torch
from safetensors.torch import load_file

from kinema.errors import ConfigError, InputError
from kinema.processors.resample import resample
from kinema.processors.spectrogram import (
    SpectrogramConfig,
    choose_starts,
    spectrogram_pixels,
    start_ranges,
)

VARIANTS = ("languagebind", "video_llava_copy")
TOLERANCE = {"atol": 5e-4, "rtol": 0}


@pytest.fixture(scope="module")
def details(golden_dir):
    return json.loads((golden_dir / "video_llava/preprocess_audio.json").read_text())


@pytest.fixture(scope="module")
def stored(golden_dir):
    return load_file(golden_dir / "video_llava/preprocess_audio.safetensors")


def config_of(content, variant):
    return SpectrogramConfig(
        num_mel_bins=content["num_mel_bins"],
        target_length=content["target_length"],
        mean=content["audio_mean"],
        std=content["audio_std"],
        variant=variant,
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_sound_of_every_length_equals_the_original(details, stored, variant):
    config = config_of(details["config"], variant)
    for name, case in details["cases"].items():
        waveform = resample(stored[f"{name}.waveform_int16"] / 32768, case["sample_rate"], 16_000)
        starts = case["languagebind_window_starts"] if variant == "languagebind" else None
        pixels = spectrogram_pixels(waveform, config, starts=starts)
        expected = stored[f"{name}.{variant}"]
        torch.testing.assert_close(
            pixels, expected, **TOLERANCE, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_a_short_sound_at_the_published_size_equals_the_original(details, stored):
    case, waveform = (
        details["published_config_short"],
        stored["published_config_short.waveform_int16"] / 32768,
    )
    for variant in VARIANTS:
        pixels = spectrogram_pixels(waveform, config_of(case["config"], variant))
        sums = stored[f"published_config_short.{variant}_bin_sums_f64"]
        torch.testing.assert_close(pixels[0].double().sum(1), sums, atol=2e-2, rtol=0)
        assert torch.equal(pixels[0], pixels[1])
        assert torch.equal(pixels[0], pixels[2])
        if variant == "languagebind":
            columns = stored["published_config_short.languagebind_channel0_first_columns"]
            torch.testing.assert_close(pixels[0, :, : columns.shape[1]], columns, **TOLERANCE)
        else:
            columns = stored["published_config_short.video_llava_copy_last_columns"]
            torch.testing.assert_close(pixels[0, :, -columns.shape[1] :], columns, **TOLERANCE)


def test_starts_lie_in_three_nearly_equal_ranges(details):
    checked = 0
    for case in details["cases"].values():
        for found, expected in zip(
            start_ranges(case["fbank_frames"], details["config"]["target_length"]),
            case.get("start_ranges_first_last", ()),
            strict=False,
        ):
            assert ([found[0], found[-1]] if found else None) == expected
            checked += 1
    assert checked > 0


def small(**changes):
    return SpectrogramConfig(num_mel_bins=4, target_length=10, **changes)


def test_without_a_generator_stretches_begin_in_the_middle_of_their_range_or_as_the_copy_does_first():
    num_samples = 400 + 160 * 24  # 25 frames: 16 places, in ranges 0-5, 6-10, 11-15
    assert choose_starts(num_samples, small()) == [2, 8, 13]
    assert choose_starts(num_samples, small(variant="video_llava_copy")) == [0, 6, 11]


def test_a_generator_draws_starts_that_differ_between_draws_and_stay_in_their_range():
    generator = torch.Generator().manual_seed(0)
    draws = [choose_starts(400 + 160 * 24, small(), generator) for _ in range(20)]
    assert len({tuple(draw) for draw in draws}) > 1
    assert all(0 <= a <= 5 and 6 <= b <= 10 and 11 <= c <= 15 for a, b, c in draws)


@pytest.mark.parametrize("num_samples", [1601, 1839])
def test_lengths_at_which_the_older_copy_crashes_are_refused(num_samples):
    with pytest.raises(InputError, match="from 1601 to 1839 samples"):
        spectrogram_pixels(torch.zeros(1, num_samples), small(variant="video_llava_copy"))
    assert spectrogram_pixels(torch.zeros(1, num_samples), small()).shape == (3, 4, 10)


@pytest.mark.parametrize("num_samples", [1600, 1840])
def test_lengths_beside_them_are_taken(num_samples):
    pixels = spectrogram_pixels(torch.zeros(1, num_samples), small(variant="video_llava_copy"))
    assert pixels.shape == (3, 4, 10)


def test_sound_below_a_frame_is_refused():
    with pytest.raises(InputError, match="25 ms"):
        spectrogram_pixels(torch.zeros(1, 399), small())


def test_swapped_mean_and_deviation_are_noticed():
    with pytest.raises(ConfigError, match="swapped"):
        small(mean=4.5689974, std=-4.2677393)
