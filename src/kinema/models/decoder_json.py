"""A decoder's part of ``config.json``: the fields of transformers' Qwen2 and Llama, and of InternLM2."""

from collections.abc import Mapping
from typing import Any

from kinema.hub.config_fields import expect_field, required_field
from kinema.modules.language.decoder import DecoderConfig

TIED = "tie_word_embeddings"


def parse_decoder_config(content: Mapping[str, Any], *, attention_bias: bool) -> DecoderConfig:
    """The sizes of a decoder.

    Args:
        content: of the file, or of its part ``text_config``.
        attention_bias: whether q, k and v have biases: Qwen2's have, Llama's have not.

    Raises:
        WeightsError: if a field is missing, or asks for what our decoder has not.
    """
    expect_field(content, "hidden_act", "silu")
    expect_field(content, "use_sliding_window", False)
    expect_field(content, "attention_bias", attention_bias)
    expect_field(content, "mlp_bias", False)
    expect_field(content, "bias", False)  # InternLM2's name for both
    hidden_size = required_field(content, "hidden_size")
    num_heads = required_field(content, "num_attention_heads")
    return DecoderConfig(
        vocab_size=required_field(content, "vocab_size"),
        hidden_size=hidden_size,
        intermediate_size=required_field(content, "intermediate_size"),
        num_layers=required_field(content, "num_hidden_layers"),
        num_heads=num_heads,
        num_kv_heads=required_field(content, "num_key_value_heads"),
        head_dim=content.get("head_dim") or hidden_size // num_heads,
        max_positions=required_field(content, "max_position_embeddings"),
        rms_norm_eps=required_field(content, "rms_norm_eps"),
        rope_theta=parse_rope_theta(content, kind="default", default=10000.0),
        attention_bias=attention_bias,
        tie_word_embeddings=bool(content.get(TIED, False)),
    )


def decoder_fields(config: DecoderConfig) -> dict[str, Any]:
    """The fields of a decoder, without those of its rotary positions, which differ by version."""
    return {
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.rms_norm_eps,
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        TIED: config.tie_word_embeddings,
    }


def parse_rope_theta(content: Mapping[str, Any], *, kind: str, default: float) -> float:
    """From ``rope_parameters`` (transformers 5) or the older fields; scaled frequencies are refused.

    But for InternLM2's, which are ``dynamic``: they change nothing in the first ``max_position_embeddings``
    positions, and a prompt is not let to be longer.
    """
    rope = content.get("rope_parameters") or {}
    expect_field(rope, "rope_type", kind)
    if (content.get("rope_scaling") or {}).get("type") != "dynamic":
        expect_field(content, "rope_scaling", None)
    return float(rope.get("rope_theta", content.get("rope_theta", default)))
