"""Sizes of a chat model, read from the shapes of its tensors."""

from typing import NamedTuple

from kinema.models.decoder_keys import DECODER_NAMES, DecoderLayout
from kinema.models.internvideo2.chat import ChatConfig
from kinema.models.internvideo2.vision_keys import PREFIX
from kinema.models.internvideo2.vision_shapes import Shapes, count_members, shape_of, vision_sizes
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.language.decoder import DecoderConfig

_BRIDGE_HEAD_SIZE, _LANGUAGE_HEAD_SIZE = 64, 128
"""Of BERT, and of Mistral and InternLM2; no shape tells them."""
_LANGUAGE = "lm.model."


class _Positions(NamedTuple):
    most: int
    base: float


_POSITIONS: dict[DecoderLayout, _Positions] = {
    "llama": _Positions(most=32768, base=1e6),
    "internlm2": _Positions(most=262144, base=5e7),
}
"""Of Mistral 7B v0.3 and of InternLM2.5 7B 1M; no shape tells them."""


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
    layout = _language_layout(shapes)
    return ChatConfig(
        vision=vision_sizes(shapes, prefix=PREFIX, image_size=image_size, num_heads=num_heads),
        bridge=_bridge_sizes(shapes, bridge_head_size),
        language=_language_sizes(shapes, layout, language_head_size),
        layout=layout,
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


def _language_layout(shapes: Shapes) -> DecoderLayout:
    """Whose names the language model has; Mistral's where there are none, so that these are asked for."""
    for layout, names in DECODER_NAMES.items():
        if f"{_LANGUAGE}{names.embedding}.weight" in shapes:
            return layout
    return "llama"


def _language_sizes(shapes: Shapes, layout: DecoderLayout, head_size: int) -> DecoderConfig:
    names, layers = DECODER_NAMES[layout], f"{_LANGUAGE}layers."
    vocab_size, width = shape_of(shapes, f"{_LANGUAGE}{names.embedding}.weight")
    num_heads = shape_of(shapes, f"{layers}0.{names.out}.weight")[1] // head_size
    num_rows = sum(shape_of(shapes, f"{layers}0.{name}.weight")[0] for name in names.qkv)
    positions = _POSITIONS[layout]
    return DecoderConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=shape_of(shapes, f"{layers}0.{names.gate_up[0]}.weight")[0],
        num_layers=count_members(shapes, layers),
        num_heads=num_heads,
        num_kv_heads=max(1, (num_rows // head_size - num_heads) // 2),
        head_dim=head_size,
        max_positions=positions.most,
        rms_norm_eps=1e-5,
        rope_theta=positions.base,
    )
