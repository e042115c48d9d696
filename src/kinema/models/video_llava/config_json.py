"""Video-LLaVA's ``config.json``: read in the official and in transformers' form, and written in both.

What a config asks for and the architecture does not have is refused by name, never skipped.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kinema.errors import WeightsError
from kinema.hub.config_fields import expect_field, required_field
from kinema.models.clip_json import parse_vision, tower_sizes, vision_fields_of
from kinema.models.decoder_json import decoder_fields, parse_decoder_config
from kinema.models.family_names import named_type
from kinema.models.languagebind.config import PUBLISHED, Modality, languagebind_large
from kinema.models.video_llava.config import VideoLLaVAConfig, vicuna_7b
from kinema.models.video_llava.keys import Layout
from kinema.modules.vision.clip import CLIPVisionConfig

OFFICIAL_TYPES = ("llava", "llava_llama")
TRANSFORMERS_TYPE = "video_llava"

_TOWER_NAMES = {modality: f"mm_{modality}_tower" for modality in Modality}
"""Fields that name the repository of each tower; the official code knows those of image and video."""
_TOWER_SIZES = {modality: f"mm_{modality}_tower_config" for modality in Modality}
"""Fields, of ours, with the sizes of a tower; published files have none, and the published towers."""


def parse_layout(content: Mapping[str, Any]) -> Layout:
    """Whose form a ``config.json`` has.

    Raises:
        WeightsError: if it is of another model, LLaVA above all, whose ``model_type`` is the same.
    """
    model_type = content.get("model_type")
    if model_type == TRANSFORMERS_TYPE:
        return Layout.TRANSFORMERS
    if model_type in OFFICIAL_TYPES and content.get(_TOWER_NAMES[Modality.VIDEO]):
        return Layout.OFFICIAL
    if model_type in OFFICIAL_TYPES:
        raise WeightsError(
            f"model_type {model_type!r} without mm_video_tower is LLaVA, which sees images alone; kinema "
            "reads Video-LLaVA, whose config.json shares the model_type and names a video tower."
        )
    raise WeightsError(
        f"model_type {named_type(content)} is not Video-LLaVA, which is {TRANSFORMERS_TYPE!r}, or "
        f"{OFFICIAL_TYPES[0]!r} with mm_video_tower."
    )


def parse_config(content: Mapping[str, Any]) -> VideoLLaVAConfig:
    """The sizes of a model, from its ``config.json``.

    Raises:
        WeightsError: if it is of another family, lacks a field, or asks for what the architecture has not.
    """
    if parse_layout(content) is Layout.OFFICIAL:
        return _parse_official(content)
    return _parse_transformers(content)


def write_config(
    config: VideoLLaVAConfig, layout: Layout, *, dtype: str, placeholders: Mapping[str, int], image_fit: str
) -> dict[str, Any]:
    """The ``config.json`` of a model, which the code that made the layout reads.

    Args:
        config: the sizes.
        layout: whose form.
        dtype: of the weights, such as ``"bfloat16"``.
        placeholders: ids of ``<image>``, ``<video>`` and ``<pad>``; the official layout has none.
        image_fit: how a picture becomes a square, ``"crop"`` or ``"pad"``; transformers always crops.
    """
    language = decoder_fields(config.language)
    if layout is Layout.TRANSFORMERS:
        image, video = config.towers[Modality.IMAGE], config.towers[Modality.VIDEO]
        return {
            "architectures": ["VideoLlavaForConditionalGeneration"],
            "model_type": TRANSFORMERS_TYPE,
            "ignore_index": -100,
            "image_token_index": placeholders["<image>"],
            "video_token_index": placeholders["<video>"],
            "pad_token_id": placeholders["<pad>"],
            "image_seq_length": image.num_tokens - 1,
            "video_seq_length": 8 * video.num_tokens,
            "projector_hidden_act": "gelu",
            "vision_feature_layer": config.select_layer,
            "vision_feature_select_strategy": "default",
            "tie_word_embeddings": config.language.tie_word_embeddings,
            "vocab_size": config.language.vocab_size,
            "text_config": {"model_type": "llama", **language, "pad_token_id": 0, **_rope(config)},
            "vision_config": {
                "model_type": "clip_vision_model",
                **vision_fields_of(image, modality=Modality.IMAGE),
                "projection_dim": 768,
            },
            "torch_dtype": dtype,
        }
    return {
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": OFFICIAL_TYPES[0],
        **language,
        **_rope(config),
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "pretraining_tp": 1,
        "use_cache": True,
        "use_mm_proj": True,
        "mm_hidden_size": config.visual_size,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": config.select_layer,
        "mm_vision_select_feature": "patch",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "image_aspect_ratio": image_fit if image_fit == "pad" else None,
        **_official_towers(config.towers),
        "torch_dtype": dtype,
    }


def _parse_official(content: Mapping[str, Any]) -> VideoLLaVAConfig:
    expect_field(content, "mm_projector_type", "mlp2x_gelu")
    expect_field(content, "mm_vision_select_feature", "patch")
    expect_field(content, "mm_use_im_start_end", False)
    expect_field(content, "mm_use_im_patch_token", False)
    towers = {
        modality: _official_tower(content, modality)
        for modality, name in _TOWER_NAMES.items()
        if content.get(name)
    }
    for modality, tower in towers.items():
        expect_field(content, "mm_hidden_size", tower.hidden_size)
        if tower.has_frame_class_embeddings:
            raise WeightsError(f"{_TOWER_NAMES[modality]}: towers of V1.5 do not fit Video-LLaVA.")
    return VideoLLaVAConfig(
        towers=towers,
        language=parse_decoder_config(content, attention_bias=False),
        select_layer=required_field(content, "mm_vision_select_layer"),
    )


def _official_tower(content: Mapping[str, Any], modality: Modality) -> CLIPVisionConfig:
    """The published files name a tower in place of its sizes."""
    sizes = content.get(_TOWER_SIZES[modality])
    if sizes:
        return replace(parse_vision(sizes, modality=modality), patch_dropout=0.0)
    name = content[_TOWER_NAMES[modality]]
    # LanguageBind_Video was renamed to LanguageBind_Video_merge; paths of a trainer's disk end like either.
    if (
        str(name).rstrip("/").rpartition("/")[2].removesuffix("_merge")
        != f"LanguageBind_{modality.capitalize()}"
    ):
        raise WeightsError(
            f"config.json names the tower {name!r}, whose sizes are not known; those of "
            f"{PUBLISHED[modality]} are. Copy that tower's vision_config to {_TOWER_SIZES[modality]}."
        )
    return languagebind_large(modality).vision


def _official_towers(towers: Mapping[Modality, CLIPVisionConfig]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for modality, tower in towers.items():
        fields[_TOWER_NAMES[modality]] = PUBLISHED[modality]
        if tower != languagebind_large(modality).vision:
            fields[_TOWER_SIZES[modality]] = vision_fields_of(tower, modality=modality)
    return fields


def _parse_transformers(content: Mapping[str, Any]) -> VideoLLaVAConfig:
    """What a file leaves out has transformers' defaults: Llama 2 7B, CLIP's quick GELU, 224 pixels."""
    expect_field(content, "projector_hidden_act", "gelu")
    expect_field(content, "vision_feature_select_strategy", "default")
    text = decoder_fields(vicuna_7b()) | {"head_dim": None} | required_field(content, "text_config")
    vision = {"image_size": 224, **required_field(content, "vision_config")}
    image = parse_vision({**vision, "add_time_attn": False}, modality=Modality.IMAGE)
    activation = tower_sizes(vision, default_activation="quick_gelu")["activation"]
    image = replace(image, activation=activation)
    return VideoLLaVAConfig(
        towers={Modality.IMAGE: image, Modality.VIDEO: image},
        language=parse_decoder_config(text, attention_bias=False),
        select_layer=content.get("vision_feature_layer", -2),
    )


def _rope(config: VideoLLaVAConfig) -> dict[str, Any]:
    return {"rope_theta": config.language.rope_theta, "rope_scaling": None}
