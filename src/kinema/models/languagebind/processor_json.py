"""The processor of a checkpoint folder: its vocabulary, and what ``config.json`` says about its media."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from kinema.errors import ConfigError, WeightsError
from kinema.hub.files import read_json
from kinema.hub.tokenizer import load_tokenizer
from kinema.models.languagebind.config import LanguageBindConfig, Modality
from kinema.models.languagebind.processor import LanguageBindProcessor, LanguageBindProcessorConfig
from kinema.processors.clip_pixels import CLIPPixelsConfig
from kinema.processors.clip_text import CLIPTokenizer
from kinema.processors.depth import MAX_DEPTH_M
from kinema.processors.fbank import SAMPLE_RATE
from kinema.processors.spectrogram import SpectrogramConfig, SpectrogramVariant

Compat = Literal["official", "video_llava_copy"]
"""``official`` is LanguageBind itself; the older copy inside Video-LLaVA hears sound differently."""

_SOUND_OF: dict[str, SpectrogramVariant] = {
    "official": "languagebind",
    "video_llava_copy": "video_llava_copy",
}


def load_processor(
    folder: Path, config: LanguageBindConfig, *, compat: Compat = "official"
) -> LanguageBindProcessor:
    """The processor that belongs to the weights of a folder.

    Args:
        folder: a published checkpoint.
        config: the sizes of its towers.
        compat: whose behaviour to reproduce.

    Raises:
        WeightsError: if a file is broken, or vocabulary and text tower do not belong together.
        ConfigError: if there is no such mode.
    """
    tokenizer = CLIPTokenizer(load_tokenizer(folder), num_positions=config.text.max_positions)
    if tokenizer.end_id != config.text.vocab_size - 1:
        raise WeightsError(
            f"{folder}: the end of a text has id {tokenizer.end_id}, but the tower is read at its largest, "
            f"{config.text.vocab_size - 1}; the vocabulary is of another model."
        )
    fields = read_json(folder / "config.json").get("vision_config", {})
    return LanguageBindProcessor(tokenizer, _parse_settings(config, fields, compat))


def default_settings(config: LanguageBindConfig) -> LanguageBindProcessorConfig:
    """What towers of these sizes take, with the released weights' values for the rest."""
    height, width = config.vision.image_size
    if config.modality is Modality.AUDIO:
        sound = SpectrogramConfig(num_mel_bins=height, target_length=width)
        return LanguageBindProcessorConfig(modality=config.modality, sound=sound)
    settings = LanguageBindProcessorConfig(modality=config.modality, pixels=CLIPPixelsConfig(size=height))
    if config.vision.num_frames is not None:
        settings = replace(settings, num_frames=config.vision.num_frames)
    return settings


def vision_fields(settings: LanguageBindProcessorConfig, config: LanguageBindConfig) -> dict[str, Any]:
    """What ``vision_config`` of ``config.json`` says about media, beside the sizes of the towers.

    Raises:
        WeightsError: if the file has no place for a setting.
    """
    usual, sound = default_settings(config), settings.sound
    stored = replace(
        usual,
        max_depth_m=settings.max_depth_m,
        sound=replace(usual.sound, mean=sound.mean, std=sound.std),
    )
    if settings != stored:
        raise WeightsError(
            f"config.json has no place for these settings of the processor: {settings}. Save with {stored}, "
            "and choose the others after loading."
        )
    if settings.modality is Modality.AUDIO:
        return {"audio_mean": sound.mean, "audio_std": sound.std, "audio_sample_rate": SAMPLE_RATE}
    if settings.modality is Modality.DEPTH:
        return {"max_depth": settings.max_depth_m}
    return {}


def _parse_settings(
    config: LanguageBindConfig, fields: Mapping[str, Any], compat: Compat
) -> LanguageBindProcessorConfig:
    if compat not in _SOUND_OF:
        raise ConfigError(f"there is no compat mode {compat!r}; there are: {', '.join(_SOUND_OF)}.")
    settings = default_settings(config)
    return replace(
        settings,
        max_depth_m=fields.get("max_depth", MAX_DEPTH_M),
        sound=replace(
            settings.sound,
            mean=fields.get("audio_mean", settings.sound.mean),
            std=fields.get("audio_std", settings.sound.std),
            variant=_SOUND_OF[compat],
        ),
    )
