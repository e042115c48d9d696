"""The processor of a checkpoint folder: tokenizer and preprocessing settings, read and written by layout.

The files say how large pictures may be, how many frames are read and whether tokens are pruned. What they
have no place for (the template, the resampler, what a stream's frames are) a ``compat`` mode chooses.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinema.errors import WeightsError
from kinema.hub.files import read_json
from kinema.hub.tokenizer import add_special_tokens, load_tokenizer, save_tokenizer
from kinema.hub.write import write_json
from kinema.models.videollama3.config_json import TRANSFORMERS_TYPE
from kinema.models.videollama3.keys import Layout
from kinema.models.videollama3.processor import Compat, VideoLLaMA3Processor, VideoLLaMA3ProcessorConfig
from kinema.processors.pruning import NoPruning, PreviousFramePruning
from kinema.processors.read import ReadSettings
from kinema.processors.resize import OfficialResize, TransformersResize
from kinema.processors.tokenizer import TextTokenizer

_IMAGES, _VIDEOS, _PROCESSOR = (
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
)

_TEMPLATE = Path(__file__).with_name("chat_template.jinja")
"""What transformers renders prompts with; ours come from ``processors.chat``."""

OFFICIAL_TOKENS = ("<image>", "<|stream_start|>", "<|stream_end|>")
"""Added to Qwen2.5's tokens in this order; transformers' conversions do without them."""

_PIXELS = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "do_convert_rgb": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "rescale_factor": 1 / 255,
    "resample": 3,
}
"""How every published checkpoint makes patches of pixels: bicubic, -1 to 1. Ours knows no other way."""


def load_processor(folder: Path, *, compat: Compat = "official") -> VideoLLaMA3Processor:
    """The processor that belongs to the weights of a folder.

    Args:
        folder: a checkpoint in any layout; a settings file that is absent leaves the released models' values.
        compat: whose behaviour to reproduce, whichever layout the files are in.

    Raises:
        WeightsError: if a file is broken, or asks for what the processor cannot do.
    """
    config = read_json(folder / "config.json")
    tokenizer = TextTokenizer(load_tokenizer(folder))
    preset = VideoLLaMA3ProcessorConfig.for_compat(compat)
    if config.get("model_type") == TRANSFORMERS_TYPE:
        settings = _read_transformers_settings(folder, preset)
    else:
        settings = _read_official_settings(folder, preset, pruned=bool(config.get("use_token_compression")))
    if not tokenizer.has(settings.template.image_token):
        # transformers' conversions have its own placeholders alone; features replace what stands there.
        template = replace(settings.template, image_token="<|image_pad|>", video_token="<|video_pad|>")
        settings = replace(settings, template=template)
    return VideoLLaMA3Processor(tokenizer, settings)


def save_processor(processor: VideoLLaMA3Processor, folder: Path, layout: Layout) -> VideoLLaMA3Processor:
    """Write tokenizer and settings in a layout.

    Returns:
        The processor as the folder has it: its tokenizer may have got the official placeholder.

    Raises:
        WeightsError: if the processor prunes by a rule that the files cannot state.
    """
    if (
        not isinstance(processor.config.pruning, NoPruning)
        and processor.config.pruning != PreviousFramePruning()
    ):
        raise WeightsError(
            f"the files have no place for {processor.config.pruning}; save with PreviousFramePruning() or "
            "NoPruning(), and choose this one again after loading."
        )
    tokenizer = _save_tokenizer(processor.tokenizer, folder, layout)
    if layout is Layout.TRANSFORMERS:
        _write_transformers_settings(processor.config, folder)
    else:
        _write_official_settings(processor.config, folder)
    return VideoLLaMA3Processor(tokenizer, processor.config)


def _read_official_settings(
    folder: Path, preset: VideoLLaMA3ProcessorConfig, *, pruned: bool
) -> VideoLLaMA3ProcessorConfig:
    images, clips = _read_if_there(folder / _IMAGES), _read_if_there(folder / _PROCESSOR)
    _check_pixels(images, folder / _IMAGES)
    return replace(
        preset,
        patch_size=images.get("patch_size", preset.patch_size),
        resize=_resize(preset, images.get("min_tokens"), images.get("max_tokens")),
        image_merge_size=clips.get("image_merge_size", preset.image_merge_size),
        video_merge_size=clips.get("video_merge_size", preset.video_merge_size),
        reading=replace(
            preset.reading,
            fps=clips.get("fps", preset.reading.fps),
            max_frames=clips.get("max_frames", preset.reading.max_frames),
            sampling=clips.get("sampling", preset.reading.sampling),
        ),
        pruning=PreviousFramePruning() if pruned else NoPruning(),
    )


def _read_transformers_settings(
    folder: Path, preset: VideoLLaMA3ProcessorConfig
) -> VideoLLaMA3ProcessorConfig:
    # transformers 5 nests both parts in processor_config.json; earlier versions write a file for each.
    nested = _read_if_there(folder / _PROCESSOR)
    images = nested.get("image_processor") or _read_if_there(folder / _IMAGES)
    videos = nested.get("video_processor") or _read_if_there(folder / _VIDEOS)
    _check_pixels(images, folder / _IMAGES)
    _check_pixels(videos, folder / _VIDEOS)
    patch_size = images.get("patch_size", preset.patch_size)
    image_merge_size = images.get("merge_size", preset.image_merge_size)
    video_merge_size = videos.get("merge_size", preset.video_merge_size)
    image_budget = _token_budget(images, patch_size * image_merge_size)
    video_budget = _token_budget(videos, patch_size * video_merge_size)
    if images and videos and image_budget != video_budget:
        raise WeightsError(
            f"{folder}: images may have {image_budget} tokens, videos {video_budget} (least, most); the "
            "processor has one budget for both. Give 'size' in both files the same number of tokens."
        )
    return replace(
        preset,
        patch_size=patch_size,
        resize=_resize(preset, *(image_budget if images else video_budget)),
        image_merge_size=image_merge_size,
        video_merge_size=video_merge_size,
        reading=replace(
            preset.reading,
            fps=videos.get("fps") or preset.reading.fps,
            max_frames=videos.get("max_frames", preset.reading.max_frames),
        ),
        pruning=PreviousFramePruning() if videos.get("use_token_compression", True) else NoPruning(),
    )


def _write_official_settings(config: VideoLLaMA3ProcessorConfig, folder: Path) -> None:
    resize = _known_resize(config)
    images = {"image_processor_type": "Videollama3ImageProcessor", **_PIXELS, "patch_size": config.patch_size}
    write_json(folder / _IMAGES, images | {"min_tokens": resize.min_tokens, "max_tokens": resize.max_tokens})
    clips = {
        "processor_class": "Videollama3Qwen2Processor",
        "fps": config.reading.fps,
        "max_frames": config.reading.max_frames,
        "image_merge_size": config.image_merge_size,
        "video_merge_size": config.video_merge_size,
    }
    if config.reading.sampling != ReadSettings().sampling:  # ours; the original's file has no such entry
        clips["sampling"] = config.reading.sampling
    write_json(folder / _PROCESSOR, clips)


def _write_transformers_settings(config: VideoLLaMA3ProcessorConfig, folder: Path) -> None:
    shared = _PIXELS | {"patch_size": config.patch_size, "temporal_patch_size": 1}
    images = {"image_processor_type": "VideoLlama3ImageProcessor", **shared}
    write_json(folder / _IMAGES, images | _pixel_budget(config, config.image_merge_size))
    videos = {
        "video_processor_type": "VideoLlama3VideoProcessor",
        **shared,
        "do_sample_frames": False,
        "fps": config.reading.fps,
        "min_frames": 4,
        "max_frames": config.reading.max_frames,
        "use_token_compression": not isinstance(config.pruning, NoPruning),
    }
    write_json(folder / _VIDEOS, videos | _pixel_budget(config, config.video_merge_size))
    write_json(folder / _PROCESSOR, {"processor_class": "VideoLlama3Processor"})
    (folder / _TEMPLATE.name).write_bytes(_TEMPLATE.read_bytes())


def _save_tokenizer(tokenizer: TextTokenizer, folder: Path, layout: Layout) -> TextTokenizer:
    save_tokenizer(tokenizer.backend, folder)
    saved = load_tokenizer(folder)
    if layout is not Layout.TRANSFORMERS:
        add_special_tokens(saved, OFFICIAL_TOKENS)
        save_tokenizer(saved, folder)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    write_json(folder / "tokenizer_config.json", settings)
    return TextTokenizer(saved)


def _resize(
    preset: VideoLLaMA3ProcessorConfig, min_tokens: int | None, max_tokens: int | None
) -> OfficialResize | TransformersResize:
    rule = _known_resize(preset)
    return replace(rule, min_tokens=min_tokens or rule.min_tokens, max_tokens=max_tokens or rule.max_tokens)


def _known_resize(config: VideoLLaMA3ProcessorConfig) -> OfficialResize | TransformersResize:
    if not isinstance(config.resize, OfficialResize | TransformersResize):
        raise WeightsError(
            f"the files have no place for {config.resize}; use OfficialResize or TransformersResize."
        )
    return config.resize


def _token_budget(content: Mapping[str, Any], token_side: int) -> tuple[int | None, int | None]:
    """Least and most tokens, of the pixels that transformers' files count."""
    size = content.get("size") or {}
    least = content.get("min_pixels") or size.get("shortest_edge")
    most = content.get("max_pixels") or size.get("longest_edge")
    return least and least // token_side**2, most and most // token_side**2


def _pixel_budget(config: VideoLLaMA3ProcessorConfig, merge_size: int) -> dict[str, Any]:
    pixels = (config.patch_size * merge_size) ** 2
    resize = _known_resize(config)
    size = {"shortest_edge": resize.min_tokens * pixels, "longest_edge": resize.max_tokens * pixels}
    return {"merge_size": merge_size, "size": size}


def _check_pixels(content: Mapping[str, Any], path: Path) -> None:
    for name, expected in _PIXELS.items():
        found = content.get(name, expected)
        if found != expected and not (name == "rescale_factor" and abs(found - 1 / 255) < 1e-9):
            raise WeightsError(f"{path}: {name} is {found!r}; VideoLLaMA3 is trained with {expected!r}.")


def _read_if_there(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
