"""What training saves that changed a part of a model: a projector alone, or low-rank updates with one.

Either is read as the whole model, whose other weights are those of the base that was trained:

    kinema.load("mm_projector.bin", parts={"base": "LanguageBind/Video-LLaVA-7B"})
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from kinema.errors import WeightsError
from kinema.hub.files import TensorSource, open_checkpoint, read_json
from kinema.hub.joined import JoinedFiles, Piece
from kinema.hub.lora import LoraFiles, parse_adapter_config
from kinema.models.parts import MissingPart
from kinema.models.video_llava.config_json import OFFICIAL_TYPES, parse_layout
from kinema.models.video_llava.keys import Layout

BASE = "base"
"""What the part is called that lacks."""
_PUBLISHED_BASE = "LanguageBind/Video-LLaVA-7B"

_ADAPTER = "adapter_config.json"
_ADAPTER_FILES = ("non_lora_trainables.bin", "adapter_model.safetensors", "adapter_model.bin")
"""Of which the first holds the projector."""
_PROJECTOR = "mm_projector."


def recognise(shapes: Collection[str]) -> str | None:
    """The ``model_type`` that a projector in a file of its own belongs to; None for other weights."""
    return OFFICIAL_TYPES[0] if _is_projector(shapes) else None


def missing_parts(source: Path) -> tuple[MissingPart, ...]:
    """The base of a folder or file that holds a part alone; nothing of a whole model."""
    if not _is_adapter(source) and not _is_projector(open_checkpoint(source).shapes):
        return ()
    what = "the model that was trained, whole and in the official layout"
    return (MissingPart(name=BASE, what=what, published=_PUBLISHED_BASE),)


def open_weights(source: Path, parts: Mapping[str, Path]) -> TensorSource:
    """The tensors of a whole model, in the official layout where a base is among the parts.

    Low-rank updates are merged as their weights are read.

    Raises:
        WeightsError: if a file is missing, the base is no Video-LLaVA in the official layout, an update
            belongs to no weight of it, or a projector has another size.
    """
    if BASE not in parts:
        return open_checkpoint(source)
    base = parts[BASE]
    _check_base(base)
    if _is_adapter(source):
        adapter = parse_adapter_config(read_json(source / _ADAPTER))
        return LoraFiles(open_checkpoint(base), *_open_adapter(source), config=adapter)
    projector = open_checkpoint(source)
    prefix, name, _ = next(iter(projector.shapes)).partition(_PROJECTOR)
    return JoinedFiles(
        Piece(files=open_checkpoint(base), taken={"": ""}),
        Piece(files=projector, taken={prefix + name: f"model.{_PROJECTOR}"}),
    )


def _is_adapter(source: Path) -> bool:
    return (source / _ADAPTER).is_file()


def _is_projector(keys: Collection[str]) -> bool:
    return len(keys) > 0 and all(_PROJECTOR in key for key in keys)


def _open_adapter(folder: Path) -> list[TensorSource]:
    found: list[TensorSource] = [
        open_checkpoint(folder / name) for name in _ADAPTER_FILES if (folder / name).is_file()
    ]
    if len(found) < 2:
        raise WeightsError(f"{folder}: expected {_ADAPTER_FILES[0]} and adapter_model.*; fetch them again.")
    return found


def _check_base(base: Path) -> None:
    content = read_json(base / "config.json")
    if content.get("model_type") == "llama":
        raise WeightsError(
            f"{base} is a language model alone, and the base must have its towers, too. Put them together "
            "with kinema.models.video_llava.start.assemble, and save that."
        )
    if parse_layout(content) is not Layout.OFFICIAL:
        raise WeightsError(
            f"{base}: low-rank updates and projectors are named for the official layout; take that as base."
        )
