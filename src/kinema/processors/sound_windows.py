"""Sound of any length to the stretches of ten seconds that BEATs hears.

They are laid end to end from the beginning on, and the last one is filled up; what is left at the end is
dropped if it is shorter than half a second, as codecs leave it. Of sound that is longer than so many windows
as there may be, they are spread evenly from its beginning to its end: it is heard more sparsely, never cut.

V windows, L frames of 10 ms, M mel bins.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.media.audio import clip_between, read_audio_open, stated_span_s
from kinema.media.frames import AudioClip
from kinema.media.source import OpenSource, opened
from kinema.processors.beats_features import BEATsFeaturesConfig, beats_features
from kinema.processors.fbank import FRAME_SIZE, SAMPLE_RATE
from kinema.processors.messages import AudioPart
from kinema.processors.resample import resample

TAIL_S = 0.5
"""What is left after the last whole window, and shorter than this, is not heard."""


@dataclass(frozen=True, kw_only=True)
class SoundPlan:
    """What will be heard of one sound."""

    name: str
    """What reports call it."""
    times_s: tuple[float, ...]
    """When each window begins, (V,)."""


def choose_windows(num_samples: int, window: int, most: int) -> tuple[int, ...]:
    """The first sample of each window.

    Args:
        num_samples: of the sound, at least 1.
        window: samples of a window.
        most: windows there may be; with one, the middle of a longer sound is heard.
    """
    count = max(1, ceil((num_samples - TAIL_S * SAMPLE_RATE) / window))
    if count <= most:
        return tuple(range(0, count * window, window))
    surplus = num_samples - window
    if most == 1:
        return (surplus // 2,)
    return tuple(round(surplus * index / (most - 1)) for index in range(most))


def plan_windows(part: AudioPart, config: BEATsFeaturesConfig, *, most: int) -> SoundPlan:
    """What ``hear_windows`` would give; a file whose header says how long it is, is not decoded.

    Arguments and errors as for ``hear_windows``.
    """
    if isinstance(part.source, AudioClip):
        clip = clip_between(part.source, part.start_s, part.end_s)
        return _plan(_name(part), clip.start_s, _num_samples(clip), config, most)
    with opened(part.source) as file:
        span_s = stated_span_s(file, start_s=part.start_s, end_s=part.end_s)
        if span_s is None:
            clip = _stored(file, part.start_s, part.end_s)
            return _plan(_name(part), clip.start_s, _num_samples(clip), config, most)
        first_s, last_s = span_s
        return _plan(_name(part), first_s, int((last_s - first_s) * SAMPLE_RATE), config, most)


def hear_windows(part: AudioPart, config: BEATsFeaturesConfig, *, most: int) -> tuple[SoundPlan, Tensor]:
    """The windows of a sound: a file, the sound track of a video file, or an ``AudioClip``, of any rate.

    Channels are averaged; of files with more than two, FFmpeg's stereo mix. Of a file that is longer than all
    windows, whose header says so, nothing else is read.

    Args:
        part: what is heard.
        config: how a window becomes a filter bank, and how long it is.
        most: windows there may be, at least 1.

    Returns:
        When the windows begin, and their filter banks (V, L, M).

    Raises:
        MediaError: if there is no such file, or it holds no sound.
        InputError: if there is none in the asked-for time, or less than 25 ms of it.
    """
    if isinstance(part.source, AudioClip):
        return _heard(_name(part), clip_between(part.source, part.start_s, part.end_s), config, most)
    with opened(part.source) as file:
        span_s = stated_span_s(file, start_s=part.start_s, end_s=part.end_s)
        window_s = config.num_samples / SAMPLE_RATE
        if span_s is not None and span_s[1] - span_s[0] > most * window_s + TAIL_S:
            num_samples = int((span_s[1] - span_s[0]) * SAMPLE_RATE)
            plan = _plan(_name(part), span_s[0], num_samples, config, most)
            return plan, torch.cat([_window_of(file, time_s, config) for time_s in plan.times_s])
        return _heard(_name(part), _stored(file, part.start_s, part.end_s), config, most)


def _plan(name: str, start_s: float, num_samples: int, config: BEATsFeaturesConfig, most: int) -> SoundPlan:
    if num_samples < FRAME_SIZE:
        raise InputError(
            f"{name}: {num_samples / SAMPLE_RATE:.3f} s of sound are too little to hear; there must be "
            f"{FRAME_SIZE / SAMPLE_RATE} s at least."
        )
    starts = choose_windows(num_samples, config.num_samples, most)
    return SoundPlan(name=name, times_s=tuple(start_s + start / SAMPLE_RATE for start in starts))


def _heard(name: str, clip: AudioClip, config: BEATsFeaturesConfig, most: int) -> tuple[SoundPlan, Tensor]:
    plan = _plan(name, clip.start_s, _num_samples(clip), config, most)
    waveform = resample(torch.from_numpy(clip.data.T), clip.sample_rate, SAMPLE_RATE)  # (C, N)
    starts = [round((time_s - clip.start_s) * SAMPLE_RATE) for time_s in plan.times_s]
    return plan, _banks([waveform[:, start : start + config.num_samples] for start in starts], config)


def _window_of(file: OpenSource, time_s: float, config: BEATsFeaturesConfig) -> Tensor:
    """One window of a long file, (1, L, M), read by itself."""
    # A little more than needed, as resampling may round down.
    clip = _stored(file, time_s, time_s + (config.num_samples + FRAME_SIZE) / SAMPLE_RATE)
    waveform = resample(torch.from_numpy(clip.data.T), clip.sample_rate, SAMPLE_RATE)
    return _banks([waveform[:, : config.num_samples]], config)


def _banks(windows: Sequence[Tensor], config: BEATsFeaturesConfig) -> Tensor:
    return torch.stack([beats_features(window, config) for window in windows])


def _stored(file: OpenSource, start_s: float | None, end_s: float | None) -> AudioClip:
    return read_audio_open(file, sample_rate=None, num_channels=None, start_s=start_s, end_s=end_s)


def _num_samples(clip: AudioClip) -> int:
    """Samples at 16 kHz."""
    return ceil(len(clip.data) * SAMPLE_RATE / clip.sample_rate)


def _name(part: AudioPart) -> str:
    return os.fspath(part.source) if isinstance(part.source, str | os.PathLike) else "<sound>"
