"""The families, and loading a checkpoint by name or folder.

A family is found by what ``config.json`` says, never by the name of a checkpoint.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files as package_files
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.errors import WeightsError
from kinema.hub.download import CHECKPOINT_FILES, local_checkpoint
from kinema.hub.files import open_checkpoint, read_json
from kinema.models.published import NamedModel, published_models

if TYPE_CHECKING:
    import torch

    from kinema.models.loaded import Loaded

NANO = "nano"
"""The name of the model that ships inside the package."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Models of one architecture, in whichever layouts their files come."""

    name: str
    title: str
    """What people call it."""
    model_types: tuple[str, ...]
    """``model_type`` of the ``config.json`` of a whole model."""
    part_types: Mapping[str, str]
    """``model_type`` of checkpoints that hold a part alone -> the function of ``home`` that loads it."""
    home: str
    """The module that loads it, imported on first use, with ``load``, ``load_outline`` and ``convert``."""


FAMILIES = (
    Family(
        name="videollama3",
        title="VideoLLaMA3",
        model_types=("videollama3_qwen2", "video_llama_3"),
        part_types={
            "videollama3_vision_encoder": "load_vision_encoder",
            "siglip": "load_vision_encoder",
            "siglip_vision_model": "load_vision_encoder",
        },
        home="kinema.models.videollama3.checkpoint",
    ),
    Family(
        name="languagebind",
        title="LanguageBind",
        model_types=(
            "LanguageBindImage",
            "LanguageBindVideo",
            "LanguageBindAudio",
            "LanguageBindDepth",
            "LanguageBindThermal",
        ),
        part_types={},
        home="kinema.models.languagebind.checkpoint",
    ),
    Family(
        name="video_llava",
        title="Video-LLaVA",
        model_types=("llava", "llava_llama", "video_llava"),
        part_types={},
        home="kinema.models.video_llava.checkpoint",
    ),
    Family(
        name="internvideo2",
        title="InternVideo2",
        model_types=(
            "internvideo2_stage2",
            "internvideo2_clip",
            "internvideo2_chat",
            "InternVideo2_VideoChat2",
        ),
        part_types={
            "internvideo2_student": "load_student",
            "internvideo2_classifier": "load_classifier",
        },
        home="kinema.models.internvideo2.checkpoint",
    ),
)
"""A new family is one more entry."""


def named_models() -> list[NamedModel]:
    """The checkpoints that are known to load, the embedded one first."""
    return [*_embedded_models(), *published_models()]


def load_model(
    source: str | Path,
    *,
    dtype: "torch.dtype | None" = None,
    device: "torch.device | str" = "cpu",
    compat: str = "official",
    revision: str | None = None,
    offline: bool = False,
    token: str | None = None,
    cache_dir: str | Path | None = None,
) -> "Loaded[Any, Any]":
    """A model with its processor, from a hub id, a folder or ``nano``, whatever its family.

    Args:
        source: ``"nano"``, a folder, or a hub id such as ``"DAMO-NLP-SG/VideoLLaMA3-2B"``.
        dtype: what to cast the weights to; None keeps what the files have.
        device: where the weights go.
        compat: whose processor to reproduce, a mode of the family.
        revision: a branch, tag or commit on the hub.
        offline: use the hub's cache only.
        token: for gated or private repositories.
        cache_dir: where downloads are kept; None for the hub's own cache.

    Raises:
        WeightsError: if there is no such checkpoint, it is not whole, or no family knows it.
    """
    folder = find_checkpoint(source, revision=revision, offline=offline, token=token, cache_dir=cache_dir)
    family = find_family(read_json(folder / "config.json"))
    load: Callable[..., Loaded[Any, Any]] = import_module(family.home).load
    return load(folder, dtype=dtype, device=device, compat=compat)


def load_outline(folder: Path, *, dtype: "torch.dtype", compat: str = "official") -> "Loaded[Any, Any]":
    """A model whose parameters have shapes only, with its processor; weights need not be there.

    Args:
        folder: as ``find_checkpoint`` gives it.
        dtype: of the parameters.
        compat: as for ``load_model``.

    Raises:
        WeightsError: if no family knows it.
    """
    family = find_family(read_json(folder / "config.json"))
    outline: Callable[..., Loaded[Any, Any]] = import_module(family.home).load_outline
    return outline(folder, dtype=dtype, compat=compat)


def convert_model(
    source: str | Path,
    target: Path,
    *,
    layout: str,
    dtype: "torch.dtype | None" = None,
    revision: str | None = None,
    offline: bool = False,
    token: str | None = None,
    cache_dir: str | Path | None = None,
) -> None:
    """Write a checkpoint in another layout of its family, or dtype; the weights change by nothing else.

    Args:
        source: as for ``load_model``.
        target: a new folder, or an empty one.
        layout: a layout of the family.
        dtype: to cast to; None keeps what the files have.
        revision: as for ``load_model``, and so are the arguments after it.

    Raises:
        WeightsError: as for ``load_model``, and if the target holds something.
    """
    folder = find_checkpoint(source, revision=revision, offline=offline, token=token, cache_dir=cache_dir)
    family = find_family(read_json(folder / "config.json"))
    import_module(family.home).convert(folder, target, layout=layout, dtype=dtype)


def find_checkpoint(
    source: str | Path,
    *,
    revision: str | None = None,
    offline: bool = False,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    files: tuple[str, ...] = CHECKPOINT_FILES,
) -> Path:
    """The folder of a checkpoint, fetched from the hub where need be.

    Arguments are as for ``load_model``; ``files`` are patterns of what is fetched.
    """
    if source == NANO and not Path(source).is_dir():
        return _embedded_folder(NANO)
    return local_checkpoint(
        source, revision=revision, cache_dir=cache_dir, offline=offline, token=token, files=files
    )


def find_family(config: Mapping[str, Any]) -> Family:
    """The family that a ``config.json`` belongs to.

    Raises:
        WeightsError: if there is none, or the checkpoint is only a part of a model.
    """
    model_type = str(config.get("model_type"))
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
        if model_type in family.part_types:
            loader = f"{family.home}.{family.part_types[model_type]}"
            raise WeightsError(
                f"{model_type!r} is a part of {family.title}, not a model to ask; use {loader}."
            )
    known = ", ".join(repr(model_type) for family in FAMILIES for model_type in family.model_types)
    raise WeightsError(f"no family knows the model_type {model_type!r} of config.json; known are {known}.")


def _embedded_models() -> list[NamedModel]:
    """``nano``, sized by its file; nothing in a source tree in which it has not been trained yet."""
    try:
        folder = _embedded_folder(NANO)
    except WeightsError:
        return []
    return [
        NamedModel(
            name=NANO,
            family=find_family(read_json(folder / "config.json")).name,
            num_parameters=sum(prod(shape) for shape in open_checkpoint(folder).shapes.values()),
            licence="Apache-2.0",
            notes="ships with kinema and knows the toybox only; no download, no GPU",
        )
    ]


def _embedded_folder(name: str) -> Path:
    folder = Path(str(package_files("kinema"))) / "assets" / name
    if not (folder / "config.json").is_file():
        raise WeightsError(f"{name} is not in this installation ({folder} is missing); install kinema again.")
    return folder
