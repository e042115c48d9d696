"""Sound to the filter banks that the BEATs encoder of InternVideo2 hears.

Source: the stage-2 loaders of OpenGVLab/InternVideo, which give BEATs 64 mel bins in place of the 128 of
its own front end (microsoft/unilm). The paper (arXiv 2403.15377) says Hamming window; the code, and so the
weights, have Kaldi's Povey window.

C channels of sound, N samples, L frames of 10 ms, M mel bins.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ConfigError, InputError
from kinema.processors.fbank import FRAME_SIZE, kaldi_fbank, num_fbank_frames

Padding = Literal["frames", "samples"]
"""How short sound is filled up: with frames of 0 after normalising, as the sound of videos was, or with
samples of 0 before the filter bank, which makes frames of the floor, as files of sound were."""

_INT16_SCALE = 2**15
"""The weights learned sound in the levels of 16 bits."""


@dataclass(frozen=True, kw_only=True)
class BEATsFeaturesConfig:
    """How sound becomes a filter bank."""

    num_mel_bins: int = 64
    """M. BEATs' own checkpoints learned 128."""
    num_samples: int = 160_000
    """The stretch that is heard, at 16 kHz; 10 s."""
    mean: float = 15.41663
    std: float = 6.55582
    """Of the logarithms; values are divided by twice ``std``."""
    padding: Padding = "frames"

    def __post_init__(self) -> None:
        if self.num_mel_bins < 1 or self.num_samples < FRAME_SIZE or self.std <= 0:
            raise ConfigError(
                f"num_mel_bins {self.num_mel_bins} must be at least 1, num_samples {self.num_samples} at "
                f"least {FRAME_SIZE}, and std {self.std} above 0."
            )
        if self.padding not in ("frames", "samples"):
            raise ConfigError(f"padding must be 'frames' or 'samples', got {self.padding!r}.")

    @property
    def num_frames(self) -> int:
        """L of every sound; 998 of 10 s."""
        return num_fbank_frames(self.num_samples)


def beats_features(
    waveform: Tensor,
    config: BEATsFeaturesConfig,
    *,
    start: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The normalised filter bank of one stretch of a sound; what is shorter is filled up.

    Args:
        waveform: (C, N) float at 16 kHz, between -1 and 1; channels are averaged.
        config: how.
        start: first sample of the stretch, of a longer sound.
        generator: draws it, as the published loaders do. With neither, the stretch is the middle of the
            sound, so that a file has one embedding.

    Returns:
        (num_frames, M) float32.

    Raises:
        InputError: if the sound has less than 25 ms, or ``start`` leaves less than a whole stretch.
    """
    if waveform.ndim != 2 or 0 in waveform.shape:
        raise InputError(f"waveform is {tuple(waveform.shape)}; pass (channels, samples), neither of them 0.")
    wave = _stretch(waveform.float().mean(0), config.num_samples, start, generator)
    if config.padding == "samples":
        wave = F.pad(wave, (0, config.num_samples - len(wave)))
    bank = normalised_fbank(wave, config)
    return F.pad(bank, (0, 0, 0, config.num_frames - len(bank)))


def normalised_fbank(wave: Tensor, config: BEATsFeaturesConfig) -> Tensor:
    """The filter bank of all of a sound of one channel, (N,) to (L, M); see ``beats_features``."""
    bank = kaldi_fbank(wave * _INT16_SCALE, config.num_mel_bins, window="povey")
    return (bank - config.mean) / (2 * config.std)


def no_sound(config: BEATsFeaturesConfig) -> Tensor:
    """What a video without a sound track gives, (num_frames, M): zeros, which no silence gives."""
    return torch.zeros(config.num_frames, config.num_mel_bins)


def _stretch(wave: Tensor, num_samples: int, start: int | None, generator: torch.Generator | None) -> Tensor:
    surplus = max(0, len(wave) - num_samples)
    if start is None and generator is not None:
        start = int(torch.randint(surplus + 1, (), generator=generator))
    elif start is None:
        start = surplus // 2
    if not 0 <= start <= surplus:
        raise InputError(
            f"a stretch of {num_samples} samples cannot start at {start}: the sound has {len(wave)}, so it "
            f"starts from 0 to {surplus}."
        )
    return wave[start : start + num_samples]
