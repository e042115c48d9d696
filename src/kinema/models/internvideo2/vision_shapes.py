"""Sizes of a network, read from the shapes of its tensors: the published files of weights come without a
config.

Two things no shape tells. The number of heads is known for the published widths; that of frames and patches
follows from the rows of the position table and the size of the images.
"""

from collections.abc import Mapping

from kinema.errors import WeightsError
from kinema.models.internvideo2.classifier import ClassifierConfig
from kinema.models.internvideo2.student import StudentConfig
from kinema.modules.vision.internvideo2 import InternVideo2VisionConfig
from kinema.modules.vision.videomae import VideoMAEConfig

Shapes = Mapping[str, tuple[int, ...]]

_HEADS_OF_WIDTH = {384: 6, 768: 12, 1024: 16, 1408: 16, 3200: 25}


def vision_sizes(
    shapes: Shapes, *, prefix: str = "", image_size: int = 224, num_heads: int | None = None
) -> InternVideo2VisionConfig:
    """Sizes of an encoder.

    Args:
        shapes: of the tensors of a file.
        prefix: what stands before their names.
        image_size: of the position table, in pixels.
        num_heads: None for that of the published size of this width.

    Raises:
        WeightsError: if there is no such encoder among the tensors, or its heads or frames cannot be told.
    """
    table = shape_of(shapes, f"{prefix}pos_embed")
    inner, width = shape_of(shapes, f"{prefix}blocks.0.mlp.fc1.weight")
    patch_size = shape_of(shapes, f"{prefix}patch_embed.proj.weight")[-1]
    per_frame = (image_size // patch_size) ** 2
    if per_frame == 0 or table[1] <= 1 or (table[1] - 1) % per_frame:
        raise WeightsError(
            f"{prefix}pos_embed has {table[1]} rows, a class token and whole frames of {per_frame} patches; "
            f"pass the image_size it was trained with, {image_size} does not fit."
        )
    return InternVideo2VisionConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_layers=count_members(shapes, f"{prefix}blocks."),
        num_heads=_heads(width, num_heads),
        num_frames=(table[1] - 1) // per_frame,
        image_size=image_size,
        patch_size=patch_size,
        has_image_table=f"{prefix}img_pos_embed" in shapes,
    )


def student_sizes(
    shapes: Shapes, *, prefix: str = "", image_size: int = 224, num_heads: int | None = None
) -> StudentConfig:
    """Sizes of an encoder with decoders; arguments and errors as for ``vision_sizes``."""
    mae_layers = count_members(shapes, f"{prefix}mae_decoder.")
    decoder, last = f"{prefix}clip_decoder.0.", f"{prefix}final_clip_decoder."
    return StudentConfig(
        vision=vision_sizes(shapes, prefix=prefix, image_size=image_size, num_heads=num_heads),
        pooled_size=pooled_size(shapes, prefix=prefix),
        clip_layers=count_members(shapes, f"{prefix}clip_decoder."),
        clip_size=shape_of(shapes, f"{decoder}norm.weight")[0],
        clip_pooled_size=shape_of(shapes, f"{last}norm.weight")[0],
        clip_decoder="mlp" if f"{decoder}head.0.weight" in shapes else "linear",
        mae_layers=mae_layers,
        mae_size=shape_of(shapes, f"{prefix}mae_decoder.0.norm.weight")[0] if mae_layers else 1408,
    )


def classifier_sizes(
    shapes: Shapes, *, image_size: int = 224, num_heads: int | None = None
) -> ClassifierConfig:
    """Sizes of a classifier; arguments and errors as for ``vision_sizes``."""
    read_by = {"down.0.weight": "frame_means", "extra_mlp.0.weight": "residual_mlp"}
    forms = [form for key, form in read_by.items() if key in shapes]
    return ClassifierConfig(
        vision=vision_sizes(shapes, image_size=image_size, num_heads=num_heads),
        num_classes=shape_of(shapes, "head.weight")[0],
        form=forms[0] if forms else "plain",  # type: ignore[arg-type]
        pooled_size=pooled_size(shapes),
    )


def videomae_sizes(shapes: Shapes, *, num_heads: int | None = None) -> VideoMAEConfig:
    """Sizes of VideoMAE's encoder; arguments and errors as for ``vision_sizes``."""
    inner, width = shape_of(shapes, "encoder.blocks.0.mlp.fc1.weight")
    return VideoMAEConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_layers=count_members(shapes, "encoder.blocks."),
        num_heads=_heads(width, num_heads),
        patch_size=shape_of(shapes, "encoder.patch_embed.proj.weight")[-1],
    )


def pooled_size(shapes: Shapes, *, prefix: str = "") -> int:
    """Width of the vector that the attention pool makes."""
    return shape_of(shapes, f"{prefix}clip_projector.cross_attn.proj.weight")[0]


def shape_of(shapes: Shapes, key: str) -> tuple[int, ...]:
    """The shape of a tensor that must be there.

    Raises:
        WeightsError: if it is not.
    """
    if key not in shapes:
        raise WeightsError(f"these are not the weights that were asked for: there is no {key} among them.")
    return shapes[key]


def count_members(shapes: Shapes, stack: str) -> int:
    """Members of a stack, such as ``blocks.``: the numbers that follow its name."""
    return len({key[len(stack) :].split(".")[0] for key in shapes if key.startswith(stack)})


def _heads(width: int, given: int | None) -> int:
    heads = given or _HEADS_OF_WIDTH.get(width)
    if heads is None:
        raise WeightsError(
            f"no published encoder is {width} wide, so how many heads it has cannot be told; pass num_heads."
        )
    return heads
