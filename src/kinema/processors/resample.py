"""Sound at another rate, by band-limited interpolation. N samples, C channels."""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import InputError

ZERO_CROSSINGS = 6
"""Of the sinc on each side of a sample."""
ROLLOFF = 0.99
"""Share of the lower Nyquist frequency that is kept."""

_MOST_TAPS = 30_000_000
"""Numbers of a filter bank, 120 MB; only rates with almost no common divisor need more."""


def resample(waveform: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Change the sample rate with a sinc under a Hann window, as torchaudio's default does.

    Args:
        waveform: (C, N) float.
        from_rate: its samples a second.
        to_rate: samples a second of the result.

    Returns:
        (C, ceil(N to_rate / from_rate)); ``waveform`` itself where the rates are equal.

    Raises:
        InputError: if a rate is below 1, or the two have so little in common that the filters do not fit.
    """
    if min(from_rate, to_rate) < 1:
        raise InputError(f"a sample rate must be at least 1, got {from_rate} and {to_rate}.")
    if from_rate == to_rate:
        return waveform
    common = math.gcd(from_rate, to_rate)
    step, phases = from_rate // common, to_rate // common
    filters, width = _filters(step, phases)
    padded = F.pad(waveform, (width, width + step))
    resampled = F.conv1d(padded[:, None], filters.to(waveform)[:, None], stride=step)  # (C, phases, blocks)
    length = math.ceil(phases * waveform.shape[-1] / step)
    return resampled.transpose(1, 2).flatten(1)[:, :length]


@lru_cache(maxsize=8)
def _filters(step: int, phases: int) -> tuple[Tensor, int]:
    """Filters (phases, taps), float32, one a new sample of each block of ``step`` old ones; their reach."""
    cutoff = min(step, phases) * ROLLOFF
    width = math.ceil(ZERO_CROSSINGS * step / cutoff)
    if phases * (2 * width + step) > _MOST_TAPS:
        raise InputError(
            f"sample rates in the ratio {step} : {phases} have too little in common to be converted exactly; "
            "resample to a usual rate first, such as 16000, 44100 or 48000."
        )
    old = torch.arange(-width, width + step, dtype=torch.float64) / step
    new = torch.arange(phases, dtype=torch.float64) / phases
    times = ((old - new[:, None]) * cutoff).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)  # in zero crossings
    window = torch.cos(times * math.pi / ZERO_CROSSINGS / 2) ** 2
    return (torch.sinc(times) * window * (cutoff / step)).float(), width
