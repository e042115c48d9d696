"""LanguageBind's ``config.json``: read and written in the only form there is.

What a config asks for and the architecture does not have is refused by name, never skipped.
"""

from collections.abc import Mapping
from typing import Any

from kinema.errors import WeightsError
from kinema.hub.config_fields import expect_field, required_field
from kinema.hub.lora import LoraConfig
from kinema.models.languagebind.config import LanguageBindConfig, Modality
from kinema.modules.text.clip import CLIPTextConfig
from kinema.modules.vision.clip import CLIPVisionConfig

MODEL_TYPES = {f"LanguageBind{modality.capitalize()}": modality for modality in Modality}
"""``model_type`` of the published checkpoints, their V1.5, Huge and FT variants too."""

_FRAME_CLASSES = "vl_new"
"""``clip_type`` of the V1.5 video towers, which have a class embedding for each frame."""


def parse_config(content: Mapping[str, Any]) -> LanguageBindConfig:
    """The sizes of a model, from its ``config.json``.

    Raises:
        WeightsError: if it is of another family, lacks a field, or asks for what the architecture has not.
    """
    model_type = content.get("model_type")
    if model_type not in MODEL_TYPES:
        raise WeightsError(
            f"model_type {model_type!r} is not LanguageBind, which is one of {', '.join(MODEL_TYPES)}."
        )
    modality = MODEL_TYPES[str(model_type)]
    return LanguageBindConfig(
        modality=modality,
        vision=_parse_vision(required_field(content, "vision_config"), modality),
        text=_parse_text(required_field(content, "text_config")),
        projection_size=required_field(content, "projection_dim"),
    )


def parse_lora(content: Mapping[str, Any]) -> LoraConfig | None:
    """Rank and alpha of the low-rank updates, where the weights come with any."""
    vision = required_field(content, "vision_config")
    if not vision.get("lora_r"):
        return None
    return LoraConfig(rank=vision["lora_r"], alpha=required_field(vision, "lora_alpha"))


def write_config(
    config: LanguageBindConfig, *, dtype: str, vision_fields: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The ``config.json`` of a model, which the official code reads.

    Args:
        config: the sizes.
        dtype: of the weights, such as ``"bfloat16"``.
        vision_fields: what ``vision_config`` says besides, about how its input is made.
    """
    model_type = next(name for name, modality in MODEL_TYPES.items() if modality is config.modality)
    text, vision = config.text, config.vision
    is_audio = config.modality is Modality.AUDIO
    sizes = (
        {"num_mel_bins": vision.image_size[0], "target_length": vision.image_size[1], "image_size": 224}
        if is_audio
        else {"image_size": vision.image_size[0]}
    )
    return {
        "architectures": [model_type],
        "model_type": model_type,
        "projection_dim": config.projection_size,
        "logit_scale_init_value": 2.6592,
        "text_config": {
            **_tower_fields(text),
            "vocab_size": text.vocab_size,
            "max_position_embeddings": text.max_positions,
        },
        "vision_config": {
            **_tower_fields(vision),
            **sizes,
            "patch_size": vision.patch_size,
            "num_channels": 3,
            "force_patch_dropout": vision.patch_dropout,
            "add_time_attn": vision.num_frames is not None,
            "num_frames": vision.num_frames or 1,
            "lora_r": 0,
            **({"clip_type": _FRAME_CLASSES} if vision.has_frame_class_embeddings else {}),
            **(vision_fields or {}),
        },
        "torch_dtype": dtype,
    }


def _parse_vision(content: Mapping[str, Any], modality: Modality) -> CLIPVisionConfig:
    expect_field(content, "num_channels", 3)
    expect_field(content, "attention_dropout", 0.0)
    has_time = bool(content.get("add_time_attn", False))
    if modality is Modality.AUDIO:
        image_size = (required_field(content, "num_mel_bins"), required_field(content, "target_length"))
    else:
        image_size = (required_field(content, "image_size"),) * 2
    return CLIPVisionConfig(
        **_tower_sizes(content),
        image_size=image_size,
        patch_size=required_field(content, "patch_size"),
        num_frames=required_field(content, "num_frames") if has_time else None,
        has_frame_class_embeddings=has_time and content.get("clip_type") == _FRAME_CLASSES,
        patch_dropout=content.get("force_patch_dropout") or 0.0,
    )


def _parse_text(content: Mapping[str, Any]) -> CLIPTextConfig:
    expect_field(content, "attention_dropout", 0.0)
    return CLIPTextConfig(
        **_tower_sizes(content),
        vocab_size=required_field(content, "vocab_size"),
        max_positions=required_field(content, "max_position_embeddings"),
    )


def _tower_sizes(content: Mapping[str, Any]) -> dict[str, Any]:
    """What both towers have. Without ``hidden_act`` it is GELU, with which all of them were trained."""
    activation = content.get("hidden_act", "gelu")
    if activation not in ("gelu", "quick_gelu"):
        raise WeightsError(f"config.json asks for hidden_act {activation!r}; there are gelu and quick_gelu.")
    return {
        "hidden_size": required_field(content, "hidden_size"),
        "intermediate_size": required_field(content, "intermediate_size"),
        "num_layers": required_field(content, "num_hidden_layers"),
        "num_heads": required_field(content, "num_attention_heads"),
        "activation": activation,
        "layer_norm_eps": content.get("layer_norm_eps", 1e-5),
    }


def _tower_fields(tower: CLIPVisionConfig | CLIPTextConfig) -> dict[str, Any]:
    return {
        "hidden_size": tower.hidden_size,
        "intermediate_size": tower.intermediate_size,
        "num_hidden_layers": tower.num_layers,
        "num_attention_heads": tower.num_heads,
        "hidden_act": tower.activation,
        "layer_norm_eps": tower.layer_norm_eps,
        "attention_dropout": 0.0,
    }
