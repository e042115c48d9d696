"""Whole models of InternVideo2, whichever of them a folder or a file holds.

Most published files hold weights alone: their keys tell what they are, their shapes how large, and what was
published apart is named as ``parts``. A vocabulary is fetched unasked, weights are not:

    kinema.load("InternVideo2-stage2_1b-224p-f4.pt")
    kinema.load("1B_clip.pth", parts={"vision": "stage2_1b.pt", "text": "internvl_c_13b_224px.pth"})

``convert`` writes either into a folder that needs nothing beside it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.files import TensorSource, open_checkpoint, read_json
from kinema.models.internvideo2 import (
    captioner_checkpoint,
    chat_checkpoint,
    clip_checkpoint,
    stage2_checkpoint,
)
from kinema.models.internvideo2.captioner import AudioCaptioner
from kinema.models.internvideo2.chat import InternVideo2Chat
from kinema.models.internvideo2.clip import InternVideo2CLIP
from kinema.models.internvideo2.clip_assembly import assembled_files
from kinema.models.internvideo2.file_kinds import (
    CAPTIONER_TYPE,
    CHAT_TYPE,
    CLIP_TYPE,
    STAGE2_TYPE,
    WRITTEN_TYPES,
    is_trained_part,
    parts_of_trained,
    recognise,
    vocabulary_of,
)
from kinema.models.internvideo2.stage2 import InternVideo2Stage2
from kinema.models.internvideo2.vision_checkpoint import (
    load_classifier,
    load_student,
    load_tower,
    load_videomae,
)
from kinema.models.internvideo2.weights import open_own
from kinema.models.loaded import Loaded
from kinema.models.parts import MissingPart, folder_of, has_vocabulary

__all__ = [
    "convert",
    "load",
    "load_classifier",
    "load_outline",
    "load_student",
    "load_tower",
    "load_videomae",
    "missing_parts",
    "open_weights",
    "recognise",
    "save",
]

LAYOUT = "official"
"""The only one there is."""


class _Kind(NamedTuple):
    """What can be done with one kind of folder."""

    load: Callable[..., Loaded[Any, Any]]
    load_outline: Callable[..., Loaded[Any, Any]]
    save: Callable[..., None]


_CHAT = _Kind(chat_checkpoint.load, chat_checkpoint.load_outline, chat_checkpoint.save_chat)

_KINDS = {
    CHAT_TYPE: _CHAT,
    chat_checkpoint.PUBLISHED_CHAT_TYPE: _CHAT,
    CAPTIONER_TYPE: _Kind(
        captioner_checkpoint.load, captioner_checkpoint.load_outline, captioner_checkpoint.save_captioner
    ),
    CLIP_TYPE: _Kind(clip_checkpoint.load, clip_checkpoint.load_outline, clip_checkpoint.save_clip),
    STAGE2_TYPE: _Kind(stage2_checkpoint.load, stage2_checkpoint.load_outline, stage2_checkpoint.save_stage2),
}
"""By the ``model_type`` of ``config.json``."""


def load(
    source: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    compat: str = "official",
    parts: Mapping[str, Path] | None = None,
) -> Loaded[Any, Any]:
    """A model with its processor; arguments and errors as for the ``load`` of its kind."""
    return _kind(source).load(source, dtype=dtype, device=device, compat=compat, parts=parts)


def load_outline(folder: Path, *, dtype: torch.dtype, compat: str = "official") -> Loaded[Any, Any]:
    """As ``load``, but the parameters have shapes only (torch's device "meta"), and no weights are read."""
    return _kind(folder).load_outline(folder, dtype=dtype, compat=compat)


def missing_parts(source: Path) -> tuple[MissingPart, ...]:
    """What is needed beside a folder or file: weights of a CLIP model, a vocabulary.

    Folders that we wrote need nothing.
    """
    if _config_type(source) in WRITTEN_TYPES:
        return ()
    model_type = _model_type(source)
    shapes = open_checkpoint(source).shapes
    weights = parts_of_trained(shapes) if model_type == CLIP_TYPE and is_trained_part(shapes) else ()
    return weights if has_vocabulary(source) else (*weights, vocabulary_of(model_type, shapes))


def open_weights(source: Path, parts: Mapping[str, Path]) -> TensorSource:
    """The tensors of a model, those of its parts included; errors as for ``assemble_clip``."""
    if "vision" not in parts:
        return open_checkpoint(source)
    return assembled_files(parts["vision"], parts["text"], source)


def convert(
    source: Path,
    target: Path,
    *,
    layout: str,
    dtype: torch.dtype | None = None,
    parts: Mapping[str, Path] | None = None,
) -> None:
    """Write a checkpoint in another dtype, or the files it was published in as one folder.

    Args:
        source: a checkpoint folder, or a file.
        target: a new folder.
        layout: ``official``, the only one there is.
        dtype: to cast to; None keeps the dtype of the source.
        parts: what it needs beside its files, see ``missing_parts``.

    Raises:
        WeightsError: if there is no such layout, the target holds something, or the source cannot be loaded.
    """
    if layout != LAYOUT:
        raise WeightsError(f"InternVideo2 has no layout {layout!r}; there is {LAYOUT} only.")
    loaded = load(source, dtype=dtype, parts=parts)
    card_file = folder_of(source) / "README.md"
    card = ModelCard.load(card_file.parent) if card_file.is_file() else None
    _kind(source).save(loaded.model, loaded.processor, target, card=card)


def save(model: Any, processor: Any, folder: Path) -> None:
    """Write a model of any of these kinds, in its official layout.

    Args:
        model: as ``load`` gives it, its weights changed perhaps; all in one dtype.
        processor: goes with it.
        folder: new, or empty; it appears whole or not at all.

    Raises:
        WeightsError: if the folder holds something.
    """
    kinds: dict[type, Callable[..., None]] = {
        InternVideo2Chat: chat_checkpoint.save_chat,
        AudioCaptioner: captioner_checkpoint.save_captioner,
        InternVideo2CLIP: clip_checkpoint.save_clip,
        InternVideo2Stage2: stage2_checkpoint.save_stage2,
    }
    kinds[type(model)](model, processor, folder)


def _kind(source: Path) -> _Kind:
    return _KINDS[_model_type(source)]


def _model_type(source: Path) -> str:
    """By the config, or where that does not know by the keys."""
    model_type = _config_type(source)
    if model_type not in _KINDS:
        model_type = recognise(open_own(source).shapes) or model_type
    if model_type not in _KINDS:
        raise WeightsError(f"{source}: {model_type!r} is not one of {', '.join(_KINDS)}.")
    return model_type


def _config_type(source: Path) -> str:
    path = source / "config.json"
    return str(read_json(path).get("model_type")) if path.is_file() else ""
