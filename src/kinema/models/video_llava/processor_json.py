"""The processor of a checkpoint folder: tokenizer and settings, read and written by layout.

The original's files say whether pictures are padded and nothing else; what ours says besides stands in a file
that the original does not look for, and in transformers' layout under a name that it passes over. What
neither has a place for, a ``compat`` mode chooses.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinema.errors import WeightsError
from kinema.hub.files import read_json
from kinema.hub.sentence_pieces import (
    MODEL,
    read_sentence_pieces,
    save_as_fast_tokenizer,
    save_sentence_pieces,
)
from kinema.hub.write import write_json
from kinema.models.languagebind.config import Modality
from kinema.models.video_llava.config import VideoLLaVAConfig
from kinema.models.video_llava.config_json import parse_config, parse_layout
from kinema.models.video_llava.keys import Layout
from kinema.models.video_llava.processor import Compat, VideoLLaVAProcessor, VideoLLaVAProcessorConfig
from kinema.processors.clip_pixels import MEAN, STD, CLIPPixelsConfig
from kinema.processors.official_labels import PADDING_ID
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.visuals import Kind

PLACEHOLDERS = {"<image>": "image_token_index", "<video>": "video_token_index", "<pad>": "pad_token_id"}
"""Tokens of transformers' vocabulary after the last piece, by the field of ``config.json`` with their id."""

OFFICIAL_PLACEHOLDERS = {"<image>": PADDING_ID, "<video>": PADDING_ID}
"""The official vocabulary has none: features take the place of the unknown piece, which no text has."""

_SETTINGS = "processor_config.json"
_READING = ("fps", "max_frames", "sampling")
_OWN = ("video_class_token", "max_tokens")
_IN_TRANSFORMERS = "kinema"
"""Where our settings stand in transformers' file, of which its processors take what they know."""


def load_processor(folder: Path, *, compat: Compat = "official") -> VideoLLaVAProcessor:
    """The processor that belongs to the weights of a folder.

    Args:
        folder: a checkpoint in any layout.
        compat: whose behaviour to reproduce, whichever layout the files are in. Settings that the folder has
            of its own hold for ``"official"``; another mode is that mode.

    Raises:
        WeightsError: if a file is missing or broken.
    """
    content = read_json(folder / "config.json")
    settings = fitted_settings(VideoLLaVAProcessorConfig.for_compat(compat), parse_config(content))
    if parse_layout(content) is Layout.TRANSFORMERS:
        added = {name: content[field] for name, field in PLACEHOLDERS.items() if field in content}
        if compat == "official":
            settings = _with_own_settings(settings, _settings_of(folder).get(_IN_TRANSFORMERS, {}))
        return VideoLLaVAProcessor(load_tokenizer(folder, added), settings)
    if compat == "official":
        fit: Any = "pad" if content.get("image_aspect_ratio") == "pad" else "crop"
        settings = replace(settings, pixels=replace(settings.pixels, image_fit=fit))
        settings = _with_own_settings(settings, _settings_of(folder))
    return VideoLLaVAProcessor(load_tokenizer(folder, OFFICIAL_PLACEHOLDERS), settings)


def load_tokenizer(folder: Path, added_tokens: Mapping[str, int]) -> SentencePieceTokenizer:
    """The tokenizer of a folder, which may be that of the language model alone.

    Raises:
        WeightsError: if there is none, or it is broken.
    """
    model, legacy = read_sentence_pieces(folder)
    try:
        return SentencePieceTokenizer(model, added_tokens=added_tokens, legacy=legacy)
    except RuntimeError as error:
        raise WeightsError(
            f"{folder / MODEL}: not a SentencePiece model ({error}); fetch it again."
        ) from error


def save_processor(processor: VideoLLaVAProcessor, folder: Path, layout: Layout) -> VideoLLaVAProcessor:
    """Write tokenizer and settings in a layout.

    Returns:
        The processor as the folder has it: with the placeholders of the layout.
    """
    old = processor.tokenizer
    added = placeholders_of(processor, layout)
    is_official = layout is Layout.OFFICIAL
    save_sentence_pieces(
        folder,
        old.model,
        legacy=old.legacy,
        added_tokens={} if is_official else added,
        padding_side="right" if is_official else "left",
    )
    if is_official:
        write_json(folder / _SETTINGS, _own_settings(processor.config))
    else:
        save_as_fast_tokenizer(folder, old.model, added_tokens=added)
        _write_transformers_settings(processor.config, folder)
    tokenizer = SentencePieceTokenizer(old.model, added_tokens=added, legacy=old.legacy)
    return VideoLLaVAProcessor(tokenizer, processor.config)


def placeholders_of(processor: VideoLLaVAProcessor, layout: Layout) -> dict[str, int]:
    """The placeholders of a layout; transformers' are numbered on from the last piece."""
    if layout is Layout.OFFICIAL:
        return dict(OFFICIAL_PLACEHOLDERS)
    num_pieces = processor.tokenizer.num_pieces
    return {name: num_pieces + number for number, name in enumerate(PLACEHOLDERS)}


def fitted_settings(
    settings: VideoLLaVAProcessorConfig, config: VideoLLaVAConfig
) -> VideoLLaVAProcessorConfig:
    """Settings for the towers of a model: sizes, windows, as many frames as one holds, and which signals."""
    image, video = config.towers[Modality.IMAGE], config.towers[Modality.VIDEO]
    signal_kinds: list[Kind] = ["audio", "depth", "thermal"]
    signals = settings.signals
    if Modality.AUDIO in config.towers:
        bins, columns = config.towers[Modality.AUDIO].image_size
        signals = replace(signals, sound=replace(signals.sound, num_mel_bins=bins, target_length=columns))
    reading = settings.reading
    if video.num_frames is not None:
        reading = replace(reading, max_frames=video.num_frames)
    return replace(
        settings,
        reading=reading,
        signal_kinds=tuple(kind for kind in signal_kinds if Modality(kind) in config.towers),
        signals=signals,
        pixels=replace(settings.pixels, size=image.image_size[0]),
        patch_size=image.patch_size,
        window=video.num_frames,
    )


def _settings_of(folder: Path) -> dict[str, Any]:
    return read_json(folder / _SETTINGS) if (folder / _SETTINGS).is_file() else {}


def _with_own_settings(
    settings: VideoLLaVAProcessorConfig, content: Mapping[str, Any]
) -> VideoLLaVAProcessorConfig:
    fit = {"image_fit": content["image_fit"]} if "image_fit" in content else {}
    reading = {name: content[name] for name in _READING if name in content}
    own = {name: content[name] for name in _OWN if name in content}
    pixels = replace(settings.pixels, **fit)
    return replace(settings, reading=replace(settings.reading, **reading), pixels=pixels, **own)


def _own_settings(config: VideoLLaVAProcessorConfig) -> dict[str, Any]:
    reading = {name: getattr(config.reading, name) for name in _READING}
    return reading | {name: getattr(config, name) for name in _OWN}


def _write_transformers_settings(config: VideoLLaVAProcessorConfig, folder: Path) -> None:
    pixels = _transformers_pixels(config.pixels)
    write_json(
        folder / "preprocessor_config.json", {"image_processor_type": "VideoLlavaImageProcessor", **pixels}
    )
    write_json(
        folder / "video_preprocessor_config.json",
        {"video_processor_type": "VideoLlavaVideoProcessor", "do_sample_frames": False, **pixels},
    )
    processor = {
        "processor_class": "VideoLlavaProcessor",
        "patch_size": config.patch_size,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
        "image_token": "<image>",
        "video_token": "<video>",
        _IN_TRANSFORMERS: {**_own_settings(config), "image_fit": config.pixels.image_fit},
    }
    write_json(folder / _SETTINGS, processor)


def _transformers_pixels(pixels: CLIPPixelsConfig) -> dict[str, Any]:
    return {
        "do_resize": True,
        "size": {"shortest_edge": pixels.size},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": pixels.size, "width": pixels.size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
        "do_convert_rgb": True,
    }
