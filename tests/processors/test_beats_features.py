import pytest
import torch
from golden_case import GoldenCase

from kinema.errors import ConfigError, InputError
from kinema.processors.beats_features import BEATsFeaturesConfig, beats_features, no_sound, normalised_fbank
from kinema.processors.fbank import frame_window, mel_weights
from kinema.processors.resample import resample


@pytest.fixture(scope="module")
def case(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/D_audio_fbank")


def wave_of(case, name):
    pcm = case.inputs[f"{name}_pcm"]
    return pcm.reshape(-1, pcm.shape[-1]) / 32768


def config_of(case, **changes):
    content = case.config
    return BEATsFeaturesConfig(
        num_mel_bins=content["mel_bins"],
        num_samples=content["max_length"],
        mean=content["mean"],
        std=content["std"],
        **changes,
    )


def long_wave(case):
    return torch.cat([wave_of(case, "exact"), wave_of(case, "extra")], dim=1)


def test_window_and_filters_equal_the_original(case):
    case.check(frame_window("povey"), "window")
    case.check(mel_weights(case.config["mel_bins"])[:, :-1], "mel_banks")


def test_ten_seconds_equal_the_original(case):
    features = beats_features(wave_of(case, "exact"), config_of(case))
    assert len(features) == case.details["number_of_frames"]["exact"]
    case.check(features[::4], "exact.fbank_every_4th_row")


def test_short_sound_of_a_video_is_followed_by_frames_of_zero(case):
    config = config_of(case)
    features = beats_features(wave_of(case, "short"), config)
    num_real = case.details["number_of_frames"]["short"]
    assert len(features) == config.num_frames
    case.check(features[:num_real], "short.video_loader.frames")
    assert not features[num_real:].any()


def test_a_short_file_is_followed_by_silence(case):
    features = beats_features(wave_of(case, "short"), config_of(case, padding="samples"))
    num_real = case.details["number_of_frames"]["short"]
    case.check(features[:num_real], "short.video_loader.frames")
    case.check(features[num_real - 4 : num_real + 4], "short.file_loader.last_8_frames_before_padding_value")
    padding = features[num_real + 4 :]
    case.check(padding[0, 0], "short.file_loader.pad_value")
    assert (padding == padding[0, 0]).all()


def test_long_sound_is_cut_where_it_is_asked_to_be(case):
    cut = beats_features(long_wave(case), config_of(case), start=case.config["crop_start"])
    case.check(cut[::8], "long.cropped_at_start.fbank_every_8th_row")
    beginning = beats_features(long_wave(case), config_of(case), start=0)
    case.check(beginning[:16], "long.file_loader_mono_torchaudio.first_16_rows")


def test_both_channels_are_averaged(case):
    num_real = case.details["number_of_frames"]["stereo"]
    features = beats_features(wave_of(case, "stereo"), config_of(case))
    case.check(features[:num_real], "stereo.video_loader.frames")


def test_sound_of_other_rates_is_resampled_as_the_original_does_it(golden_dir):
    case = GoldenCase(golden_dir / "internvideo2/D_audio_resample")
    target = case.config["target"]
    for rate in case.config["rates"]:
        case.check(resample(case.inputs[f"waveform_{rate}"], rate, target), f"waveform_{rate}_to_{target}")


def test_long_sound_is_heard_in_its_middle_where_nothing_is_drawn():
    config = BEATsFeaturesConfig(num_mel_bins=4, num_samples=400)
    wave = torch.randn(1, 800, generator=torch.Generator().manual_seed(0))
    assert torch.equal(beats_features(wave, config), beats_features(wave[:, 200:600], config))


def test_a_generator_draws_another_stretch_each_time():
    config = BEATsFeaturesConfig(num_mel_bins=4, num_samples=400)
    wave = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    first, second = (beats_features(wave, config, generator=generator) for _ in range(2))
    assert not torch.equal(first, second)


def test_silence_is_one_value_and_a_missing_track_is_zeros():
    config = BEATsFeaturesConfig()
    silence = beats_features(torch.zeros(2, 160_000), config)
    assert silence.shape == (998, 64)
    torch.testing.assert_close(silence, torch.full((998, 64), -2.39172), atol=1e-4, rtol=0)
    assert torch.equal(no_sound(config), torch.zeros(998, 64))


def test_all_of_a_sound_can_be_heard():
    assert normalised_fbank(torch.zeros(560), BEATsFeaturesConfig(num_mel_bins=128)).shape == (2, 128)


@pytest.mark.parametrize("shape", [(0, 400), (1, 0), (400,)])
def test_what_is_no_waveform_is_refused(shape):
    with pytest.raises(InputError, match="pass \\(channels, samples\\)"):
        beats_features(torch.zeros(shape), BEATsFeaturesConfig())


def test_sound_below_one_frame_is_refused_where_no_silence_is_added():
    with pytest.raises(InputError, match="at least 400 samples"):
        beats_features(torch.zeros(1, 399), BEATsFeaturesConfig())
    assert beats_features(torch.zeros(1, 399), BEATsFeaturesConfig(padding="samples")).shape == (998, 64)


def test_a_stretch_that_begins_too_late_is_refused():
    config = BEATsFeaturesConfig(num_mel_bins=4, num_samples=400)
    with pytest.raises(InputError, match="from 0 to 100"):
        beats_features(torch.zeros(1, 500), config, start=101)


@pytest.mark.parametrize(
    "changes", [{"num_mel_bins": 0}, {"num_samples": 399}, {"std": 0.0}, {"padding": "none"}]
)
def test_settings_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError):
        BEATsFeaturesConfig(**changes)
