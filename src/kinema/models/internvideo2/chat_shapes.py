"""Sizes of a chat model, read from the shapes of its tensors."""

from kinema.models.internvideo2.chat import ChatConfig
from kinema.models.internvideo2.vision_keys import PREFIX
from kinema.models.internvideo2.vision_shapes import Shapes, count_members, shape_of, vision_sizes
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.language.decoder import DecoderConfig

_BRIDGE_HEAD_SIZE, _LANGUAGE_HEAD_SIZE = 64, 128
"""Of BERT and of Mistral; no shape tells them."""


def chat_sizes(
    shapes: Shapes,
    *,
    image_size: int = 224,
    num_heads: int | None = None,
    bridge_head_size: int = _BRIDGE_HEAD_SIZE,
    language_head_size: int = _LANGUAGE_HEAD_SIZE,
) -> ChatConfig:
    """Sizes of a whole model.

    Args:
        shapes: of the tensors of a file, with the names of peft taken away.
        image_size: of the position tables, in pixels.
        num_heads: of the video encoder; None for that of the published size of its width.
        bridge_head_size: width of a head of the Q-Former.
        language_head_size: width of a head of the language model.

    Raises:
        WeightsError: if there is no such model among the tensors, or its heads or frames cannot be told.
    """
    return ChatConfig(
        vision=vision_sizes(shapes, prefix=PREFIX, image_size=image_size, num_heads=num_heads),
        bridge=_bridge_sizes(shapes, bridge_head_size),
        language=_language_sizes(shapes, language_head_size),
    )


def _bridge_sizes(shapes: Shapes, head_size: int) -> QFormerConfig:
    layers = "qformer.bert.encoder.layer."
    vocab_size, width = shape_of(shapes, "qformer.bert.embeddings.word_embeddings.weight")
    num_layers = count_members(shapes, layers)
    looks = [i for i in range(num_layers) if f"{layers}{i}.crossattention.self.key.weight" in shapes]
    return QFormerConfig(
        memory_size=shape_of(shapes, f"{layers}0.crossattention.self.key.weight")[1],
        hidden_size=width,
        intermediate_size=shape_of(shapes, f"{layers}0.intermediate.dense.weight")[0],
        num_layers=num_layers,
        num_heads=max(1, width // head_size),
        num_queries=shape_of(shapes, "query_tokens")[1],
        num_extra_queries=shape_of(shapes, "extra_query_tokens")[1],
        cross_attention_every=looks[1] if len(looks) > 1 else num_layers,
        vocab_size=vocab_size,
        max_positions=shape_of(shapes, "qformer.bert.embeddings.position_embeddings.weight")[0],
    )


def _language_sizes(shapes: Shapes, head_size: int) -> DecoderConfig:
    """Of Mistral 7B v0.3 as far as no shape tells it: positions, their base, and the epsilon of its norms."""
    layers = "lm.model.layers."
    vocab_size, width = shape_of(shapes, "lm.model.embed_tokens.weight")
    return DecoderConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=shape_of(shapes, f"{layers}0.mlp.gate_proj.weight")[0],
        num_layers=count_members(shapes, layers),
        num_heads=shape_of(shapes, f"{layers}0.self_attn.q_proj.weight")[0] // head_size,
        num_kv_heads=shape_of(shapes, f"{layers}0.self_attn.k_proj.weight")[0] // head_size,
        head_dim=head_size,
        max_positions=32768,
        rms_norm_eps=1e-5,
        rope_theta=1e6,
    )
