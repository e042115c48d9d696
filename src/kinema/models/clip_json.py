"""A CLIP tower's part of ``config.json``, with the fields that LanguageBind adds to it."""

from collections.abc import Mapping
from typing import Any

from kinema.errors import WeightsError
from kinema.hub.config_fields import expect_field, required_field
from kinema.modules.text.clip import CLIPTextConfig
from kinema.modules.vision.clip import CLIPVisionConfig

AUDIO = "audio"
"""The modality whose pictures are of mel bins and time, and not square."""

_FRAME_CLASSES = "vl_new"
"""``clip_type`` of the V1.5 video towers, which have a class embedding for each frame."""


def parse_vision(content: Mapping[str, Any], *, modality: str) -> CLIPVisionConfig:
    """The sizes of a vision tower.

    Raises:
        WeightsError: if a field is missing, or asks for what our tower has not.
    """
    expect_field(content, "num_channels", 3)
    expect_field(content, "attention_dropout", 0.0)
    has_time = bool(content.get("add_time_attn", False))
    if modality == AUDIO:
        image_size = (required_field(content, "num_mel_bins"), required_field(content, "target_length"))
    else:
        image_size = (required_field(content, "image_size"),) * 2
    return CLIPVisionConfig(
        **tower_sizes(content),
        image_size=image_size,
        patch_size=required_field(content, "patch_size"),
        num_frames=required_field(content, "num_frames") if has_time else None,
        has_frame_class_embeddings=has_time and content.get("clip_type") == _FRAME_CLASSES,
        patch_dropout=content.get("force_patch_dropout") or 0.0,
    )


def vision_fields_of(config: CLIPVisionConfig, *, modality: str) -> dict[str, Any]:
    """The fields from which ``parse_vision`` reads the same sizes."""
    size: dict[str, Any] = {"image_size": config.image_size[0]}
    if modality == AUDIO:
        bins, columns = config.image_size
        size = {"num_mel_bins": bins, "target_length": columns, "image_size": 224}
    return {
        **tower_fields(config),
        **size,
        "patch_size": config.patch_size,
        "num_channels": 3,
        "force_patch_dropout": config.patch_dropout,
        "add_time_attn": config.num_frames is not None,
        "num_frames": config.num_frames or 1,
        **({"clip_type": _FRAME_CLASSES} if config.has_frame_class_embeddings else {}),
    }


def tower_sizes(content: Mapping[str, Any], *, default_activation: str = "gelu") -> dict[str, Any]:
    """What towers of vision and of text both have, as arguments of their configs.

    Args:
        content: the fields of one tower.
        default_activation: of a tower whose fields do not name one. LanguageBind's are trained with GELU.
    """
    activation = content.get("hidden_act", default_activation)
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


def tower_fields(tower: CLIPVisionConfig | CLIPTextConfig) -> dict[str, Any]:
    """The fields from which ``tower_sizes`` reads the same."""
    return {
        "hidden_size": tower.hidden_size,
        "intermediate_size": tower.intermediate_size,
        "num_hidden_layers": tower.num_layers,
        "num_attention_heads": tower.num_heads,
        "hidden_act": tower.activation,
        "layer_norm_eps": tower.layer_norm_eps,
        "attention_dropout": 0.0,
    }
