"""InternVideo2-CLIP from a whole file, or put together from the three it was published in.

``InternVideo2-CLIP`` files hold what was trained and nothing else, 14 MB of the 1B: they are no models. The
rest of the vision tower stands in the file of stage 2 (of S, B and L: in that of the distilled encoder), the
text tower in that of InternVL-C (of S, B and L: of MobileCLIP).
"""

from dataclasses import replace
from pathlib import Path

import torch

from kinema.errors import WeightsError
from kinema.hub.files import TensorSource, open_checkpoint
from kinema.hub.joined import JoinedFiles, Piece
from kinema.hub.keymap import Ignore
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name, write_json, write_tensors
from kinema.models.internvideo2.clip import InternVideo2CLIP, InternVideo2CLIPConfig
from kinema.models.internvideo2.clip_keys import (
    TEXT_PREFIX,
    TRAINED,
    clip_keymap,
    ignored_of_text_file,
    ignored_of_vision_file,
)
from kinema.models.internvideo2.clip_shapes import clip_sizes
from kinema.models.internvideo2.config_json import write_config
from kinema.models.internvideo2.vision_keys import PREFIX
from kinema.models.internvideo2.weights import load_network, sizes_of

CLIP_TYPE = "internvideo2_clip"
"""``model_type`` of the folders we write."""


def load_clip_weights(
    source: Path,
    *,
    image_size: int = 224,
    num_heads: int | None = None,
    num_text_heads: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> InternVideo2CLIP:
    """A whole model in evaluation mode.

    Args:
        source: a folder that ``write_clip_weights`` wrote, or a file of a whole model, such as
        InternVideo2_CLIP_S. image_size: of the position table, where no ``config.json`` tells. num_heads: of
        the video tower, where no ``config.json`` tells; None for the published sizes. num_text_heads: the
        same of the text tower. dtype: what to cast the weights to as they are read; None keeps what the file
        has. device: where the weights go, tensor by tensor.

    Raises:
        WeightsError: if anything is missing, left over or of another shape, naming it.
    """
    files = open_checkpoint(source)
    config = sizes_of(
        source,
        CLIP_TYPE,
        InternVideo2CLIPConfig,
        lambda: clip_sizes(
            files.shapes, image_size=image_size, num_heads=num_heads, num_text_heads=num_text_heads
        ),
    )
    return load_network(lambda: InternVideo2CLIP(config), clip_keymap(config), files, dtype, device)


def assemble_clip(
    vision: Path,
    text: Path,
    trained: Path,
    *,
    num_frames: int = 8,
    image_size: int = 224,
    num_heads: int | None = None,
    num_text_heads: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> InternVideo2CLIP:
    """A model from the files it was published in; each tensor of each is used, or left out by a rule.

    Args:
        vision: of stage 2, or of a distilled encoder.
        text: of InternVL-C, or of MobileCLIP.
        trained: what training changed; it takes the place of what the others have.
        num_frames: that the position table is stretched to; the released models were trained with 8.
        image_size: other arguments and errors are as for ``load_clip_weights``.

    Raises:
        WeightsError: if ``trained`` lacks a part of what was trained, or has low-rank updates that are not
        zero.
    """
    changes = open_checkpoint(trained)
    files = JoinedFiles(
        _vision_piece(open_checkpoint(vision)),
        _text_piece(open_checkpoint(text)),
        Piece(
            files=changes,
            taken={start: start for start in TRAINED},
            ignored=_empty_updates(changes),
        ),
    )
    config = clip_sizes(
        files.shapes, image_size=image_size, num_heads=num_heads, num_text_heads=num_text_heads
    )
    _check_trained(files, changes)
    model = load_network(lambda: InternVideo2CLIP(config), clip_keymap(config), files, dtype, device)
    model.vision_encoder.encoder.resize_positions(num_frames=num_frames, image_size=image_size)
    model.config = replace(config, vision=model.vision_encoder.encoder.config)
    return model


def write_clip_weights(
    model: InternVideo2CLIP, folder: Path, *, max_shard_bytes: int = MAX_SHARD_BYTES
) -> None:
    """Write a whole model under its official names, with a ``config.json``.

    Args:
        model: weights in one dtype.
        folder: an existing one, such as that of ``hub.write.new_folder``.
        max_shard_bytes: most bytes in one file of weights.
    """
    tensors = clip_keymap(model.config).export(model.state_dict())
    write_tensors(folder, tensors, max_shard_bytes=max_shard_bytes)
    content = write_config(CLIP_TYPE, model.config, dtype=dtype_name(model.parameters()))
    write_json(folder / "config.json", content)


def _vision_piece(files: TensorSource) -> Piece:
    """The tower of a whole model, or an encoder whose file holds nothing else."""
    is_part = any(key.startswith(PREFIX) for key in files.shapes)
    taken = {PREFIX: PREFIX} if is_part else {"": PREFIX}
    return Piece(files=files, taken=taken, ignored=ignored_of_vision_file())


def _text_piece(files: TensorSource) -> Piece:
    is_part = any(key.startswith(TEXT_PREFIX) for key in files.shapes)
    taken = {TEXT_PREFIX: TEXT_PREFIX} if is_part else {"": TEXT_PREFIX}
    return Piece(files=files, taken=taken, ignored=ignored_of_text_file())


def _empty_updates(files: TensorSource) -> tuple[Ignore, ...]:
    """Low-rank updates of the text tower, which was frozen: the released files hold some, all zero."""
    factors = [key for key in files.shapes if ".lora_A." in key or ".lora_B." in key]
    alive = [key for key in factors if ".lora_B." in key and bool(files.read(key).any())]
    if alive:
        raise WeightsError(
            f"{files.origin}: the low-rank update {alive[0]} is not zero; of the released models all are, "
            "and their rank and alpha stand nowhere. Merge it into the file of the text tower."
        )
    return tuple(Ignore(key, "it adds zero") for key in factors)


def _check_trained(files: JoinedFiles, changes: TensorSource) -> None:
    lacking = [key for key in files.shapes if key.startswith(TRAINED) and key not in changes.shapes]
    if lacking or "temp" not in changes.shapes:
        names = ", ".join(lacking[:6]) or "temp"
        raise WeightsError(
            f"{changes.origin} lacks {names}, which was trained; is it the file of a CLIP model? "
            "Nothing was loaded."
        )
