"""InternVideo2-CLIP put together from the three files it was published in, strictly.

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
from kinema.models.internvideo2.clip import InternVideo2CLIP
from kinema.models.internvideo2.clip_keys import (
    TEXT_PREFIX,
    TRAINED,
    clip_keymap,
    ignored_of_text_file,
    ignored_of_vision_file,
)
from kinema.models.internvideo2.clip_shapes import clip_sizes
from kinema.models.internvideo2.vision_keys import PREFIX
from kinema.models.internvideo2.weights import load_network


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
    files = assembled_files(vision, text, trained)
    config = clip_sizes(
        files.shapes, image_size=image_size, num_heads=num_heads, num_text_heads=num_text_heads
    )
    model = load_network(lambda: InternVideo2CLIP(config), clip_keymap(config), files, dtype, device)
    model.vision_encoder.encoder.resize_positions(num_frames=num_frames, image_size=image_size)
    model.config = replace(config, vision=model.vision_encoder.encoder.config)
    return model


def assembled_files(vision: Path, text: Path, trained: Path) -> JoinedFiles:
    """The tensors of the assembled model; arguments and errors as for ``assemble_clip``."""
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
    _check_trained(files, changes)
    return files


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
    """Low-rank updates of the text tower, which was frozen: the released files hold some, all zero.

    An update is the product of two factors, so that one of them being zero is enough.
    """
    factors = [key for key in files.shapes if ".lora_A." in key or ".lora_B." in key]
    alive = {key for key in factors if bool(files.read(key).any())}
    for key in sorted(alive):
        if ".lora_B." in key and key.replace(".lora_B.", ".lora_A.") in alive:
            raise WeightsError(
                f"{files.origin}: the low-rank update {key} is not zero; of the released models all are, "
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
