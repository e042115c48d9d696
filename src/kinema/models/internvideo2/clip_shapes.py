"""Sizes of InternVideo2-CLIP, read from the shapes of its tensors; see ``vision_shapes``."""

from dataclasses import replace

from kinema.errors import WeightsError
from kinema.models.internvideo2.clip import InternVideo2CLIPConfig
from kinema.models.internvideo2.vision_keys import PREFIX
from kinema.models.internvideo2.vision_shapes import (
    Shapes,
    count_members,
    pooled_size,
    shape_of,
    vision_sizes,
)
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.text.clip import CLIPTextConfig

_TEXT_HEADS_OF_WIDTH = {4096: 32, 512: 8}
"""Of LLaMA-7B, and of MobileCLIP-B."""
_LLAMA_POSITIONS = 2048


def clip_sizes(
    shapes: Shapes,
    *,
    image_size: int = 224,
    num_heads: int | None = None,
    num_text_heads: int | None = None,
) -> InternVideo2CLIPConfig:
    """Sizes of both towers.

    Args:
        shapes: of the tensors of a whole model.
        image_size: of the position table, in pixels.
        num_heads: of the video tower; None for that of the published size of this width.
        num_text_heads: the same of the text tower.

    Raises:
        WeightsError: if a tower is not among the tensors, or its heads or frames cannot be told.
    """
    vision = vision_sizes(shapes, prefix=PREFIX, image_size=image_size, num_heads=num_heads)
    is_decoder = "text_encoder.transformer.embed_tokens.weight" in shapes
    align = shapes.get("vision_align.1.weight")
    return InternVideo2CLIPConfig(
        vision=replace(vision, has_image_table=False),
        pooled_size=pooled_size(shapes, prefix=PREFIX),
        align_size=None if align is None else align[0],
        decoder=_decoder(shapes, num_text_heads) if is_decoder else None,
        text=None if is_decoder else _text(shapes, num_text_heads),
    )


def _decoder(shapes: Shapes, num_heads: int | None) -> DecoderConfig:
    stack = "text_encoder.transformer.layers."
    vocab_size, width = shape_of(shapes, "text_encoder.transformer.embed_tokens.weight")
    heads = _heads(width, num_heads)
    return DecoderConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=shape_of(shapes, f"{stack}0.mlp.up_proj.weight")[0],
        num_layers=count_members(shapes, stack),
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=width // heads,
        max_positions=_LLAMA_POSITIONS,
        tie_word_embeddings=True,
    )


def _text(shapes: Shapes, num_heads: int | None) -> CLIPTextConfig:
    stack = "text_encoder.transformer."
    vocab_size, width = shape_of(shapes, "text_encoder.embedding_layer.weight")
    return CLIPTextConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=shape_of(shapes, f"{stack}0.pre_norm_ffn.1.weight")[0],
        num_layers=count_members(shapes, stack),
        num_heads=_heads(width, num_heads),
        max_positions=shape_of(shapes, "text_encoder.positional_embedding.pos_embed.pos_embed")[2],
    )


def _heads(width: int, given: int | None) -> int:
    heads = given or _TEXT_HEADS_OF_WIDTH.get(width)
    if heads is None:
        raise WeightsError(
            f"no published text tower is {width} wide, so how many heads it has cannot be told; pass "
            "num_text_heads."
        )
    return heads
