"""Sound to what a CLIP tower sees: three stretches of a filter bank as the channels of a picture.

Two versions of the original disagree. ``languagebind`` is PKU-YuanGroup/LanguageBind, with which the released
audio towers are used; ``video_llava_copy`` is the older copy inside PKU-YuanGroup/Video-LLaVA. Each shrinks
the values by another factor, so one is wrong for weights of the other.

C channels of sound, N samples, L frames of 10 ms, M mel bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ConfigError, InputError
from kinema.processors.fbank import FRAME_SIZE, FRAME_STEP, kaldi_fbank, num_fbank_frames

SpectrogramVariant = Literal["languagebind", "video_llava_copy"]
"""Whose arithmetic to follow, see the head of this file."""

NUM_STRETCHES = 3
"""As many as a picture has channels."""


@dataclass(frozen=True, kw_only=True)
class SpectrogramConfig:
    """How sound becomes a picture."""

    num_mel_bins: int = 126
    """M, rows of the picture. The paper writes 128; 126 is a multiple of the patch size."""
    target_length: int = 1036
    """Columns of the picture, 10 ms each."""
    mean: float = -4.2677393
    std: float = 4.5689974
    """Of the logarithms that the weights were trained on. An early ``config.json`` has the two swapped."""
    variant: SpectrogramVariant = "languagebind"

    def __post_init__(self) -> None:
        if min(self.num_mel_bins, self.target_length) < 1:
            raise ConfigError(
                "num_mel_bins and target_length must be at least 1, got "
                f"{self.num_mel_bins} and {self.target_length}."
            )
        if self.std <= 0:
            raise ConfigError(f"std must be above 0, got {self.std}; are mean and std swapped?")
        if self.variant not in ("languagebind", "video_llava_copy"):
            raise ConfigError(f"variant must be 'languagebind' or 'video_llava_copy', got {self.variant!r}.")


def spectrogram_pixels(
    waveform: Tensor,
    config: SpectrogramConfig,
    *,
    starts: Sequence[int] | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The first channel's filter bank, cut or repeated to ``target_length`` frames.

    Longer sound gives three stretches, of which each begins in another third of where one can begin; shorter
    sound is repeated, and gives one stretch three times.

    Args:
        waveform: (C, N) float at 16 kHz, between -1 and 1.
        config: how.
        starts: frames at which the three stretches begin; only for longer sound.
        generator: draws the starts, for training. With neither, ``languagebind`` begins each stretch in the
            middle of its range, where the original draws it at random, and ``video_llava_copy`` at the first
            place as the original does.

    Returns:
        (3, M, target_length) float32.

    Raises:
        InputError: if the sound is shorter than 25 ms, or has a length that the older copy cannot take.
    """
    if config.variant == "languagebind":
        wave, scale = (waveform - waveform.mean())[0], 2 * config.std
        is_long = num_fbank_frames(len(wave)) > config.target_length
    else:
        wave, scale = waveform[0], config.std
        is_long = len(wave) > config.target_length * FRAME_STEP
    if is_long:
        chosen = choose_starts(len(wave), config, generator) if starts is None else list(starts)
        stretches = _long_stretches(wave, chosen, config)
    elif config.variant == "languagebind":
        stretches = _repeated_bank(wave, config)
    else:
        stretches = _repeated_wave(wave, config)
    return (stretches.transpose(1, 2) - config.mean) / scale


def start_ranges(num_frames: int, target_length: int) -> list[range]:
    """Where stretches of a longer sound can begin, in three nearly equal parts; the last may be empty."""
    places = range(num_frames - target_length + 1)
    share, left_over = divmod(len(places), NUM_STRETCHES)
    edges = [part * share + min(part, left_over) for part in range(NUM_STRETCHES + 1)]
    return [places[first:last] for first, last in pairwise(edges)]


def stretch_samples(config: SpectrogramConfig) -> int:
    """N of a stretch: sound of exactly this length is taken as it is, without repetition or choice."""
    return (config.target_length - 1) * FRAME_STEP + FRAME_SIZE


def choose_starts(
    num_samples: int, config: SpectrogramConfig, generator: torch.Generator | None = None
) -> list[int]:
    """A start in each of ``start_ranges``; an empty range counts as 0. Arguments as for the pixels.

    Raises:
        InputError: if the sound has a length that the older copy cannot take.
    """
    num_frames = num_fbank_frames(num_samples)
    if num_frames < config.target_length:
        raise InputError(
            f"{num_samples} samples are too many to be repeated and too few for {config.target_length} "
            f"frames: the older copy fails from {config.target_length * FRAME_STEP + 1} to "
            f"{config.target_length * FRAME_STEP + FRAME_SIZE - FRAME_STEP - 1} samples. "
            "Cut the sound, or take the variant 'languagebind'."
        )
    return [
        _start(places, config.variant, generator) if places else 0
        for places in start_ranges(num_frames, config.target_length)
    ]


def _start(places: range, variant: SpectrogramVariant, generator: torch.Generator | None) -> int:
    if generator is not None:
        return places[int(torch.randint(len(places), (), generator=generator))]
    return places[(len(places) - 1) // 2] if variant == "languagebind" else places[0]


def _long_stretches(wave: Tensor, starts: Sequence[int], config: SpectrogramConfig) -> Tensor:
    """(3, target_length, M) of three places; nothing else of the sound is transformed."""
    if config.variant == "video_llava_copy":
        wave = wave - wave.mean()
    num_samples = stretch_samples(config)
    parts = [wave[start * FRAME_STEP : start * FRAME_STEP + num_samples] for start in starts]
    return torch.stack([kaldi_fbank(part, config.num_mel_bins) for part in parts])


def _repeated_bank(wave: Tensor, config: SpectrogramConfig) -> Tensor:
    bank = kaldi_fbank(wave, config.num_mel_bins)
    times = -(-config.target_length // len(bank))
    return bank.repeat(times, 1)[: config.target_length].expand(NUM_STRETCHES, -1, -1)


def _repeated_wave(wave: Tensor, config: SpectrogramConfig) -> Tensor:
    """The older copy: whole repetitions, then silence; frames that are missing at the end are 0."""
    num_samples = config.target_length * FRAME_STEP
    wave = wave.repeat(num_samples // len(wave))
    wave = F.pad(wave, (0, num_samples - len(wave)))
    bank = kaldi_fbank(wave - wave.mean(), config.num_mel_bins)
    bank = F.pad(bank, (0, 0, 0, config.target_length - len(bank)))
    return bank.expand(NUM_STRETCHES, -1, -1)
