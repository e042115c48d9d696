"""LanguageBind's ``config.json``: read and written in the only form there is.

What a config asks for and the architecture does not have is refused by name, never skipped.
"""

from collections.abc import Mapping
from typing import Any

from kinema.errors import WeightsError
from kinema.hub.config_fields import expect_field, required_field
from kinema.hub.lora import LoraConfig
from kinema.models.clip_json import parse_vision, tower_fields, tower_sizes, vision_fields_of
from kinema.models.family_names import named_type
from kinema.models.languagebind.config import LanguageBindConfig, Modality
from kinema.modules.text.clip import CLIPTextConfig

MODEL_TYPES = {f"LanguageBind{modality.capitalize()}": modality for modality in Modality}
"""``model_type`` of the published checkpoints, their V1.5, Huge and FT variants too."""


def parse_config(content: Mapping[str, Any]) -> LanguageBindConfig:
    """The sizes of a model, from its ``config.json``.

    Raises:
        WeightsError: if it is of another family, lacks a field, or asks for what the architecture has not.
    """
    model_type = content.get("model_type")
    if model_type not in MODEL_TYPES:
        raise WeightsError(
            f"model_type {named_type(content)} is not LanguageBind, which is one of {', '.join(MODEL_TYPES)}."
        )
    modality = MODEL_TYPES[str(model_type)]
    return LanguageBindConfig(
        modality=modality,
        vision=parse_vision(required_field(content, "vision_config"), modality=modality),
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
    return {
        "architectures": [model_type],
        "model_type": model_type,
        "projection_dim": config.projection_size,
        "logit_scale_init_value": 2.6592,
        "text_config": {
            **tower_fields(text),
            "vocab_size": text.vocab_size,
            "max_position_embeddings": text.max_positions,
        },
        "vision_config": {
            **vision_fields_of(vision, modality=config.modality),
            "lora_r": 0,
            **(vision_fields or {}),
        },
        "torch_dtype": dtype,
    }


def _parse_text(content: Mapping[str, Any]) -> CLIPTextConfig:
    expect_field(content, "attention_dropout", 0.0)
    return CLIPTextConfig(
        **tower_sizes(content),
        vocab_size=required_field(content, "vocab_size"),
        max_positions=required_field(content, "max_position_embeddings"),
    )
