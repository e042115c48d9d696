"""Whole models of InternVideo2 from folders, whichever of them a folder holds: ``config.json`` tells.

Most published files hold weights alone, without a config. Each kind has a function that reads them:
``load_chat``, ``load_stage2``, ``load_clip``, ``load_student`` and ``load_classifier``, and
``assemble_clip`` for the files of CLIP; what they give is saved into folders that ``kinema.load`` takes:

    model = assemble_clip(Path("stage2_1b.pt"), Path("internvl_c.pth"), Path("1B_clip.pth"))
    pieces = SentencePieceTokenizer(Path("tokenizer.model").read_bytes())
    save_clip(model, CLIPProcessor(SummaryTokenizer(pieces), CLIPProcessorConfig()), Path("clip-1b"))
    kinema.load("clip-1b").embed_video("dog.mp4")
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.files import read_json
from kinema.models.internvideo2 import chat_checkpoint, clip_checkpoint, stage2_checkpoint
from kinema.models.internvideo2.vision_checkpoint import load_classifier, load_student
from kinema.models.loaded import Loaded

__all__ = ["convert", "load", "load_classifier", "load_outline", "load_student"]

LAYOUT = "official"
"""The only one there is."""


class _Kind(NamedTuple):
    """What can be done with one kind of folder."""

    load: Callable[..., Loaded[Any, Any]]
    load_outline: Callable[..., Loaded[Any, Any]]
    save: Callable[..., None]


_CHAT = _Kind(chat_checkpoint.load, chat_checkpoint.load_outline, chat_checkpoint.save_chat)

_KINDS = {
    chat_checkpoint.CHAT_TYPE: _CHAT,
    chat_checkpoint.PUBLISHED_CHAT_TYPE: _CHAT,
    clip_checkpoint.CLIP_TYPE: _Kind(
        clip_checkpoint.load, clip_checkpoint.load_outline, clip_checkpoint.save_clip
    ),
    stage2_checkpoint.STAGE2_TYPE: _Kind(
        stage2_checkpoint.load, stage2_checkpoint.load_outline, stage2_checkpoint.save_stage2
    ),
}
"""By the ``model_type`` of ``config.json``."""


def load(
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    compat: str = "official",
) -> Loaded[Any, Any]:
    """A model with its processor; arguments and errors as for the ``load`` of its kind."""
    return _kind(folder).load(folder, dtype=dtype, device=device, compat=compat)


def load_outline(folder: Path, *, dtype: torch.dtype, compat: str = "official") -> Loaded[Any, Any]:
    """As ``load``, but the parameters have shapes only (torch's device "meta"), and no weights are read."""
    return _kind(folder).load_outline(folder, dtype=dtype, compat=compat)


def convert(source: Path, target: Path, *, layout: str, dtype: torch.dtype | None = None) -> None:
    """Write a checkpoint in another dtype.

    Args:
        source: a checkpoint folder.
        target: a new folder.
        layout: ``official``, the only one there is.
        dtype: to cast to; None keeps the dtype of the source.

    Raises:
        WeightsError: if there is no such layout, the target holds something, or the source cannot be loaded.
    """
    if layout != LAYOUT:
        raise WeightsError(f"InternVideo2 has no layout {layout!r}; there is {LAYOUT} only.")
    loaded = load(source, dtype=dtype)
    card = ModelCard.load(source) if (source / "README.md").is_file() else None
    _kind(source).save(loaded.model, loaded.processor, target, card=card)


def _kind(folder: Path) -> _Kind:
    model_type = str(read_json(folder / "config.json").get("model_type"))
    if model_type not in _KINDS:
        raise WeightsError(f"{folder}: {model_type!r} is not one of {', '.join(_KINDS)}.")
    return _KINDS[model_type]
