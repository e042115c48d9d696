"""Sizes of stage 2, read from the shapes of its tensors: the published files come without a config."""

from kinema.models.internvideo2.stage2 import SoundConfig, Stage2Config
from kinema.models.internvideo2.vision_keys import PREFIX
from kinema.models.internvideo2.vision_shapes import Shapes, count_members, shape_of, student_sizes
from kinema.modules.audio.beats import BEATsConfig
from kinema.modules.text.bert import BertConfig

_BERT_HEAD_SIZE = 64
"""Of every published BERT; no shape tells it."""


def stage2_sizes(
    shapes: Shapes,
    *,
    image_size: int = 224,
    num_heads: int | None = None,
    num_text_heads: int | None = None,
) -> Stage2Config:
    """Sizes of a whole model.

    Args:
        shapes: of the tensors of a file.
        image_size: of the position tables, in pixels.
        num_heads: of the video encoder; None for that of the published size of its width.
        num_text_heads: of BERT; None for heads as wide as every published one has.

    Raises:
        WeightsError: if there is no such model among the tensors, or its heads or frames cannot be told.
    """
    return Stage2Config(
        vision=student_sizes(shapes, prefix=PREFIX, image_size=image_size, num_heads=num_heads),
        text=bert_sizes(shapes, prefix="text_encoder.", num_heads=num_text_heads),
        projection_size=shape_of(shapes, "text_proj.weight")[0],
        sound=sound_sizes(shapes) if "audio_proj.weight" in shapes else None,
    )


def sound_sizes(shapes: Shapes) -> SoundConfig:
    """Sizes of what hears; errors as for ``stage2_sizes``."""
    encoder = beats_sizes(shapes, prefix="audio_encoder.")
    return SoundConfig(encoder=encoder, has_match_head="atm_head.weight" in shapes)


def bert_sizes(shapes: Shapes, *, prefix: str, num_heads: int | None = None) -> BertConfig:
    """Sizes of BERT; arguments and errors as for ``stage2_sizes``."""
    embeddings, layers = f"{prefix}bert.embeddings.", f"{prefix}bert.encoder.layer."
    vocab_size, width = shape_of(shapes, f"{embeddings}word_embeddings.weight")
    num_layers = count_members(shapes, layers)
    keys = [f"{layers}{index}.crossattention.self.key.weight" for index in range(num_layers)]
    fusion = [index for index, key in enumerate(keys) if key in shapes]
    first = fusion[0] if fusion else num_layers
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=shape_of(shapes, f"{layers}0.intermediate.dense.weight")[0],
        num_layers=num_layers,
        num_heads=num_heads or max(1, width // _BERT_HEAD_SIZE),
        max_positions=shape_of(shapes, f"{embeddings}position_embeddings.weight")[0],
        num_token_types=shape_of(shapes, f"{embeddings}token_type_embeddings.weight")[0],
        fusion_layer=first,
        memory_size=shape_of(shapes, f"{layers}{first}.crossattention.self.key.weight")[1],
    )


def beats_sizes(shapes: Shapes, *, prefix: str = "") -> BEATsConfig:
    """Sizes of BEATs; arguments and errors as for ``stage2_sizes``."""
    layers, convolution = f"{prefix}encoder.layers.", f"{prefix}encoder.pos_conv.0.weight_v"
    width, per_group, kernel = shape_of(shapes, convolution)
    patches = shape_of(shapes, f"{prefix}patch_embedding.weight")
    buckets, num_heads = shape_of(shapes, f"{layers}0.self_attn.relative_attention_bias.weight")
    return BEATsConfig(
        hidden_size=width,
        intermediate_size=shape_of(shapes, f"{layers}0.fc1.weight")[0],
        num_layers=count_members(shapes, layers),
        num_heads=num_heads,
        patch_size=patches[-1],
        patch_embedding_size=patches[0],
        position_kernel=kernel,
        position_groups=width // per_group,
        num_buckets=buckets,
    )
