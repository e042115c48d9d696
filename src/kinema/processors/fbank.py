"""Log-mel filter banks as Kaldi computes them. N samples, L frames of sound, M mel bins."""

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import InputError

SAMPLE_RATE = 16_000
FRAME_SIZE, FRAME_STEP = 400, 160
"""Samples: 25 ms, every 10 ms."""

Window = Literal["hann", "povey"]
"""What weights each frame: a symmetric Hann window, or Kaldi's own, which is that to the power of 0.85."""

_FFT_SIZE = 512
_PRE_EMPHASIS = 0.97
_LOWEST_HZ = 20.0
_FLOOR = 1.1920929e-07
"""Float32's epsilon: energies below it count as it."""


def num_fbank_frames(num_samples: int) -> int:
    """L of that many samples: frames that reach over an end are left out."""
    return max(0, 1 + (num_samples - FRAME_SIZE) // FRAME_STEP)


def kaldi_fbank(waveform: Tensor, num_mel_bins: int, *, window: Window = "hann") -> Tensor:
    """Natural logarithms of mel energies, without dither and energy, HTK's order of bins.

    Each frame loses its mean, is pre-emphasised (its first sample with itself), and weighted with a window;
    its power spectrum goes through triangles that are equally wide on the mel scale, 1127 ln(1 + f / 700),
    from 20 Hz to 8 kHz. Source: torchaudio's ``compliance.kaldi.fbank``.

    Args:
        waveform: (N,) float at 16 kHz.
        num_mel_bins: M.
        window: see ``Window``.

    Returns:
        (L, M) float32.

    Raises:
        InputError: if the sound is shorter than one frame, or holds samples that are no numbers.
    """
    if len(waveform) < FRAME_SIZE:
        raise InputError(
            f"a filter bank needs at least {FRAME_SIZE} samples, 25 ms at 16 kHz, got {len(waveform)}."
        )
    if not waveform.isfinite().all():
        raise InputError("the sound holds samples that are infinite or no numbers; decode it again.")
    frames = waveform.float().unfold(0, FRAME_SIZE, FRAME_STEP)  # (L, 400)
    frames = frames - frames.mean(1, keepdim=True)
    before = torch.cat((frames[:, :1], frames[:, :-1]), dim=1)
    frames = (frames - _PRE_EMPHASIS * before) * frame_window(window)
    spectrum = torch.fft.rfft(F.pad(frames, (0, _FFT_SIZE - FRAME_SIZE))).abs() ** 2  # (L, 257)
    return (spectrum @ mel_weights(num_mel_bins).T).clamp(min=_FLOOR).log()


def frame_window(window: Window) -> Tensor:
    """The weights of a frame's samples, (400,) float32."""
    hann = torch.hann_window(FRAME_SIZE, periodic=False)
    return hann if window == "hann" else hann**0.85


@lru_cache(maxsize=8)
def mel_weights(num_mel_bins: int) -> Tensor:
    """(M, 257): triangles over the frequencies of a spectrum; the highest frequency has no weight."""
    low, high = _mel(_LOWEST_HZ), _mel(SAMPLE_RATE / 2)
    width = (high - low) / (num_mel_bins + 1)
    left = low + width * torch.arange(num_mel_bins, dtype=torch.float64)[:, None]
    hertz = torch.arange(_FFT_SIZE // 2, dtype=torch.float64) * SAMPLE_RATE / _FFT_SIZE
    mels = 1127 * torch.log1p(hertz / 700)
    rising, falling = (mels - left) / width, (left + 2 * width - mels) / width
    return F.pad(torch.minimum(rising, falling).clamp(min=0), (0, 1)).float()


def _mel(hertz: float) -> float:
    return 1127 * math.log1p(hertz / 700)
