import numpy as np
import pytest
import torch
from numbered_clips import encode, sound_file, tone

from kinema.errors import InputError, MediaError
from kinema.media.frames import AudioClip
from kinema.processors.beats_features import BEATsFeaturesConfig, beats_features
from kinema.processors.messages import AudioPart
from kinema.processors.sound_windows import choose_windows, hear_windows, plan_windows

CONFIG = BEATsFeaturesConfig()
SECOND = BEATsFeaturesConfig(num_samples=16_000)
"""Windows of one second, for tests that write files."""


def silence(duration_s, sample_rate=16_000, num_channels=1):
    data = np.zeros((round(duration_s * sample_rate), num_channels), np.float32)
    return AudioClip(data=data, sample_rate=sample_rate, start_s=0.0)


@pytest.mark.parametrize(
    ("seconds", "most", "starts_s"),
    [
        (3, 6, [0]),
        (10, 6, [0]),
        (10.4, 6, [0]),  # less than half a second is left
        (11, 6, [0, 10]),
        (25, 6, [0, 10, 20]),
        (60, 6, [0, 10, 20, 30, 40, 50]),
        (110, 3, [0, 50, 100]),
        (20, 1, [5]),
    ],
)
def test_windows_lie_end_to_end_or_are_spread_over_what_is_longer(seconds, most, starts_s):
    starts = choose_windows(round(seconds * 16_000), 160_000, most)
    assert [start / 16_000 for start in starts] == starts_s


def test_a_short_sound_is_one_window_that_is_filled_up():
    clip = tone(2.0)
    plan, banks = hear_windows(AudioPart(source=clip), CONFIG, most=6)
    assert plan.times_s == (0.0,)
    assert torch.equal(banks[0], beats_features(torch.from_numpy(clip.data.T), CONFIG))
    assert banks.shape == (1, 998, 64)
    assert not banks[0, -1].any()


def test_each_window_hears_its_own_stretch():
    loud_end = silence(3.0)
    loud_end.data[32_000:] = tone(1.0).data
    _, banks = hear_windows(AudioPart(source=loud_end), SECOND, most=6)
    assert banks.shape == (3, 98, 64)
    assert torch.equal(banks[0], banks[1])
    assert (banks[2].amax() - banks[1].amax()) > 0.5


def test_silence_is_heard_as_the_floor_of_the_filter_bank():
    plan, banks = hear_windows(AudioPart(source=silence(10.0)), CONFIG, most=6)
    assert plan.times_s == (0.0,)
    assert banks.unique().numel() == 1


@pytest.mark.parametrize(("sample_rate", "num_channels"), [(8_000, 1), (44_100, 2), (48_000, 1)])
def test_any_rate_and_both_channels_are_heard_alike(sample_rate, num_channels):
    part = AudioPart(source=tone(1.0, sample_rate=sample_rate, num_channels=num_channels))
    _, banks = hear_windows(part, CONFIG, most=6)
    _, expected = hear_windows(AudioPart(source=tone(1.0)), CONFIG, most=6)
    loudest = expected[0, 50].argmax()
    assert banks[0, 50].argmax() == loudest
    assert banks[0, 50, loudest] == pytest.approx(expected[0, 50, loudest].item(), abs=0.05)


@pytest.mark.parametrize(("container", "codec"), [("wav", "pcm_s16le"), ("flac", "flac")])
def test_a_long_file_is_read_in_windows_or_whole_and_heard_the_same(container, codec):
    clip = tone(5.0)
    clip.data[:] *= np.linspace(0.1, 1.0, len(clip.data))[:, None].astype(np.float32)
    part = AudioPart(source=sound_file(container, codec, clip))
    plan, banks = hear_windows(part, SECOND, most=3)
    assert plan.times_s == (0.0, 2.0, 4.0)
    whole = AudioPart(source=sound_file("wav", "pcm_s16le", clip))
    torch.testing.assert_close(banks, hear_windows(whole, SECOND, most=3)[1], atol=1e-3, rtol=0)


@pytest.mark.parametrize(("container", "codec"), [("wav", "pcm_s16le"), ("flac", "flac")])
def test_what_is_planned_is_what_is_heard(container, codec):
    source = sound_file(container, codec, tone(3.2))
    for part in (AudioPart(source=source), AudioPart(source=source, start_s=0.5, end_s=2.7)):
        assert plan_windows(part, SECOND, most=6) == hear_windows(part, SECOND, most=6)[0]
    assert plan_windows(part, SECOND, most=6).times_s == (0.5, 1.5)


def test_a_part_of_decoded_sound_is_heard_by_its_times():
    part = AudioPart(source=tone(4.0), start_s=1.0, end_s=3.0)
    plan, banks = hear_windows(part, SECOND, most=6)
    assert plan == plan_windows(part, SECOND, most=6)
    assert (plan.times_s, len(banks)) == ((1.0, 2.0), 2)


@pytest.mark.parametrize("duration_s", [0.0, 0.02])
def test_too_little_sound_is_refused(duration_s):
    for call in (hear_windows, plan_windows):
        with pytest.raises(InputError, match=r"too little to hear; there must be 0\.025 s"):
            call(AudioPart(source=silence(duration_s)), CONFIG, most=6)


def test_a_video_without_a_sound_track_is_refused():
    for call in (hear_windows, plan_windows):
        with pytest.raises(MediaError, match="holds no sound"):
            call(AudioPart(source=encode("mp4", "libx264")), CONFIG, most=6)
