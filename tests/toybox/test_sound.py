"""Sounds are heard when they should be, and each is unlike the others."""

import numpy as np
import pytest

from kinema.toybox.sound import make_sound
from kinema.toybox.vocabulary import SOUNDS
from kinema.toybox.world import Sound

RATE = 16_000


def clip_of(name: str, start_s: float = 1.5, end_s: float = 2.5) -> np.ndarray:
    sound = Sound(name=name, start_s=start_s, end_s=end_s, toy=0, event="appear")
    return make_sound([sound], 4.0, RATE).data[:, 0]


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_is_heard_in_its_time_only(name):
    samples = clip_of(name)
    assert len(samples) == 4 * RATE
    assert np.abs(samples).max() <= 1
    assert np.abs(samples[int(1.5 * RATE) : int(1.7 * RATE)]).max() > 0.2
    assert not samples[: int(1.5 * RATE)].any()
    assert not samples[int(2.5 * RATE) :].any()


def test_no_two_sounds_have_the_same_spectrum():
    spectra = [np.abs(np.fft.rfft(clip_of(name))) for name in SOUNDS]
    spectra = [spectrum / np.linalg.norm(spectrum) for spectrum in spectra]
    assert all(one @ other < 0.5 for i, one in enumerate(spectra) for other in spectra[:i])


def test_the_rate_changes_the_number_of_samples_not_the_pitch():
    sound = Sound(name="beep", start_s=0.0, end_s=1.0, toy=0, event="appear")
    for rate in (8_000, 16_000, 44_100):
        clip = make_sound([sound], 1.0, rate)
        assert clip.data.shape == (rate, 1)
        assert np.abs(np.fft.rfft(clip.data[:, 0])).argmax() == 880


def test_a_scene_without_sounds_is_silent():
    assert not make_sound([], 2.0, RATE).data.any()
