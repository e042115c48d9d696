"""Make the sounds of a scene: beep, bell, chirp, drum, hiss.

Letters: N sound samples.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kinema.media.frames import AudioClip
from kinema.toybox.world import Sound

_LOUDNESS = 0.5
_FADE_S = 0.01
"""Rise and fall of every sound, so that none starts or ends with a click."""

Seconds = NDArray[np.float64]
"""(N,), time since the sound began."""


def make_sound(sounds: Sequence[Sound], duration_s: float, sample_rate: int) -> AudioClip:
    """One channel with every sound at its time, silent in between."""
    samples = np.zeros(round(duration_s * sample_rate), dtype=np.float32)
    for sound in sounds:
        start, end = round(sound.start_s * sample_rate), round(sound.end_s * sample_rate)
        time_s = np.arange(end - start) / sample_rate
        fade = np.minimum(time_s, time_s[::-1]) / _FADE_S
        samples[start:end] += _LOUDNESS * _VOICES[sound.name](time_s) * np.minimum(fade, 1)
    return AudioClip(data=samples[:, None], sample_rate=sample_rate, start_s=0.0)


def _beep(time_s: Seconds) -> Seconds:
    """One steady tone."""
    return _tone(880 * time_s)


def _bell(time_s: Seconds) -> Seconds:
    """Tones that are no multiples of each other, dying away."""
    partials = _tone(620 * time_s) + 0.6 * _tone(1710 * time_s) + 0.4 * _tone(3350 * time_s)
    return partials / 2 * np.exp(-4 * time_s)


def _chirp(time_s: Seconds) -> Seconds:
    """A tone that rises from 400 to 2400 Hz within a second."""
    return _tone((400 + 1000 * time_s) * time_s)


def _drum(time_s: Seconds) -> Seconds:
    """Four low strokes a second."""
    since_stroke_s = time_s % 0.25
    return _tone(90 * since_stroke_s) * np.exp(-18 * since_stroke_s)


def _hiss(time_s: Seconds) -> Seconds:
    """Noise of all pitches, always the same."""
    return np.random.default_rng(0).uniform(-1, 1, len(time_s))


def _tone(turns: Seconds) -> Seconds:
    return np.sin(2 * np.pi * turns)


_VOICES: dict[str, Callable[[Seconds], Seconds]] = {
    "beep": _beep,
    "bell": _bell,
    "chirp": _chirp,
    "drum": _drum,
    "hiss": _hiss,
}
