"""Sound, depth and heat to what LanguageBind's towers see, from files or decoded.

S side of a square, M mel bins, L columns of time, C channels and N samples of sound.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import ConfigError
from kinema.media.audio import read_audio_open, stated_span_s
from kinema.media.frames import AudioClip
from kinema.media.image import read_depth_map, read_image
from kinema.media.source import OpenSource, Source, opened
from kinema.processors.clip_pixels import CLIPPixelsConfig, image_pixels
from kinema.processors.depth import MAX_DEPTH_M, depth_pixels
from kinema.processors.fbank import FRAME_STEP, SAMPLE_RATE
from kinema.processors.resample import resample
from kinema.processors.spectrogram import (
    SpectrogramConfig,
    choose_starts,
    spectrogram_pixels,
    stretch_samples,
)

_WHOLE_S = 60.0
"""Sound of files up to this length is read whole; an hour of it would take gigabytes."""


@dataclass(frozen=True, kw_only=True)
class SignalsConfig:
    """How what is no picture becomes one."""

    sound: SpectrogramConfig = field(default_factory=SpectrogramConfig)
    max_depth_m: float = MAX_DEPTH_M
    """Metres that are white in a depth map; 0 takes the furthest of each map."""

    def __post_init__(self) -> None:
        if self.max_depth_m < 0:
            raise ConfigError(f"max_depth_m must not be below 0, got {self.max_depth_m}.")


def read_sound(
    source: Source | AudioClip,
    config: SpectrogramConfig,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Sound: a file, the sound track of a video file, or an ``AudioClip`` of any rate; (1, 3, M, L).

    Of sound with more than two channels, a stereo mix is heard; the filter bank takes its first channel. Of
    a file over a minute, whose header says so, the three stretches alone are read.

    Args:
        source: what is heard; of a clip that is decoded all of it.
        config: how it becomes a picture.
        start_s: presentation time to hear a file from; None is the beginning.
        end_s: presentation time to hear it up to; None is the end.
        generator: draws the stretches of a long sound, for training; None as ``spectrogram_pixels`` says.

    Raises:
        MediaError: if there is no such file, or it holds no sound.
        InputError: if there is none in the asked-for time.
    """
    if isinstance(source, AudioClip):
        return _heard(source, config, generator)
    with opened(source) as file:
        span_s = stated_span_s(file, start_s=start_s, end_s=end_s)
        if span_s is not None and span_s[1] - span_s[0] > _WHOLE_S:
            return _heard_apart(file, config, *span_s, generator)
        return _heard(_stored_sound(file, start_s, end_s), config, generator)


def read_depth(source: Source | NDArray[Any], config: CLIPPixelsConfig, *, max_depth_m: float) -> Tensor:
    """A depth map: a grey file of 16 bits in millimetres, or such numbers (H, W); (1, 3, S, S)."""
    millimetres = source if isinstance(source, np.ndarray) else read_depth_map(source)
    return depth_pixels(millimetres, config, max_depth_m=max_depth_m)[None]


def read_heat(source: Source | NDArray[Any], config: CLIPPixelsConfig) -> Tensor:
    """A heat map: an image file, uint8 RGB (H, W, 3), or one channel (H, W); (1, 3, S, S).

    One channel becomes three equal ones, as the paper has it (arXiv 2310.01852); the original code takes
    files of three only.
    """
    picture = source if isinstance(source, np.ndarray) else read_image(source)
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    return image_pixels(picture, config)[None]


def _heard(clip: AudioClip, config: SpectrogramConfig, generator: torch.Generator | None) -> Tensor:
    waveform = resample(torch.from_numpy(clip.data.T), clip.sample_rate, SAMPLE_RATE)  # (C, N)
    return spectrogram_pixels(waveform, config, generator=generator)[None]


def _heard_apart(
    file: OpenSource,
    config: SpectrogramConfig,
    start_s: float,
    end_s: float,
    generator: torch.Generator | None,
) -> Tensor:
    """``_heard`` of a long file: each stretch is read, and becomes a channel, by itself."""
    num_samples = stretch_samples(config)
    channels = []
    for start in choose_starts(int((end_s - start_s) * SAMPLE_RATE), config, generator):
        first_s = start_s + start * FRAME_STEP / SAMPLE_RATE
        # A frame more than needed, as resampling may round down.
        clip = _stored_sound(file, first_s, first_s + (num_samples + FRAME_STEP) / SAMPLE_RATE)
        waveform = resample(torch.from_numpy(clip.data.T), clip.sample_rate, SAMPLE_RATE)
        channels.append(spectrogram_pixels(waveform[:, :num_samples], config)[0])
    return torch.stack(channels)[None]


def _stored_sound(file: OpenSource, start_s: float | None, end_s: float | None) -> AudioClip:
    return read_audio_open(file, sample_rate=None, num_channels=None, start_s=start_s, end_s=end_s)
