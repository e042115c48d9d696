"""The families, and loading a checkpoint by name, folder or file.

A family is found by what ``config.json`` says, and where no config does by the keys of the weights; never by
the name of a checkpoint.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files as package_files
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.errors import ConfigError, WeightsError
from kinema.hub.download import CHECKPOINT_FILES, local_checkpoint
from kinema.hub.files import TensorSource, open_checkpoint, read_json
from kinema.models.parts import MissingPart
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
    """The module that loads it, imported on first use, with ``load``, ``load_outline``, ``save`` and
    ``convert``."""
    has_bare_files: bool = False
    """Whether there are weights alone that are a part of a model, as published or as training saves it: then
    ``home`` has ``recognise``, ``missing_parts`` and ``open_weights`` as well, and its functions take
    ``parts``."""


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
        has_bare_files=True,
    ),
    Family(
        name="internvideo2",
        title="InternVideo2",
        model_types=(
            "internvideo2_stage2",
            "internvideo2_clip",
            "internvideo2_chat",
            "internvideo2_captioner",
            "InternVideo2_VideoChat2",
        ),
        part_types={
            "internvideo2_student": "load_student",
            "internvideo2_classifier": "load_classifier",
            "internvideo2_tower": "load_tower",
            "videomae": "load_videomae",
        },
        home="kinema.models.internvideo2.checkpoint",
        has_bare_files=True,
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
    parts: Mapping[str, str | Path] | None = None,
    revision: str | None = None,
    offline: bool = False,
    token: str | None = None,
    cache_dir: str | Path | None = None,
) -> "Loaded[Any, Any]":
    """A model with its processor, from a hub id, a folder, a file or ``nano``, whatever its family.

    Args:
        source: ``"nano"``, a folder, a file of weights, or a hub id such as ``"DAMO-NLP-SG/VideoLLaMA3-2B"``.
        dtype: what to cast the weights to; None keeps what the files have.
        device: where the weights go.
        compat: whose processor to reproduce, a mode of the family.
        parts: what the checkpoint needs beside its own files, by name, as ``find_parts`` takes it.
        revision: a branch, tag or commit on the hub.
        offline: use the hub's cache only.
        token: for gated or private repositories.
        cache_dir: where downloads are kept; None for the hub's own cache.

    Raises:
        WeightsError: if there is no such checkpoint, it is not whole, or no family knows it.
        ConfigError: if it needs no part of such a name.
    """
    path = find_checkpoint(source, revision=revision, offline=offline, token=token, cache_dir=cache_dir)
    family = family_of(path)
    found = find_parts(path, parts, offline=offline, token=token, cache_dir=cache_dir)
    load: Callable[..., Loaded[Any, Any]] = import_module(family.home).load
    return load(path, dtype=dtype, device=device, compat=compat, **_parts_for(family, found))


def load_outline(folder: Path, *, dtype: "torch.dtype", compat: str = "official") -> "Loaded[Any, Any]":
    """A model whose parameters have shapes only, with its processor; weights need not be there.

    Args:
        folder: as ``find_checkpoint`` gives it.
        dtype: of the parameters.
        compat: as for ``load_model``.

    Raises:
        WeightsError: if no family knows it.
    """
    family = family_of(folder)
    outline: Callable[..., Loaded[Any, Any]] = import_module(family.home).load_outline
    return outline(folder, dtype=dtype, compat=compat)


def convert_model(
    source: str | Path,
    target: Path,
    *,
    layout: str,
    dtype: "torch.dtype | None" = None,
    parts: Mapping[str, str | Path] | None = None,
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
        parts: as for ``load_model``, and so are the arguments after it.
        revision: a branch, tag or commit on the hub.

    Raises:
        WeightsError: as for ``load_model``, and if the target holds something.
    """
    path = find_checkpoint(source, revision=revision, offline=offline, token=token, cache_dir=cache_dir)
    family = family_of(path)
    found = find_parts(path, parts, offline=offline, token=token, cache_dir=cache_dir)
    convert = import_module(family.home).convert
    convert(path, target, layout=layout, dtype=dtype, **_parts_for(family, found))


def save_model(loaded: "Loaded[Any, Any]", folder: Path) -> None:
    """Write a model that was loaded and trained since, in the official layout of its family.

    Args:
        loaded: as ``load_model`` gave it, its weights changed.
        folder: new, or empty; it appears whole or not at all.

    Raises:
        WeightsError: if the folder holds something.
    """
    save: Callable[..., None] = import_module(family_of(loaded.folder).home).save
    save(loaded.model, loaded.processor, folder)


def find_checkpoint(
    source: str | Path,
    *,
    revision: str | None = None,
    offline: bool = False,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    files: tuple[str, ...] = CHECKPOINT_FILES,
) -> Path:
    """The folder or file of a checkpoint, fetched from the hub where need be.

    Arguments are as for ``load_model``; ``files`` are patterns of what is fetched.
    """
    if source == NANO and not Path(source).is_dir():
        return _embedded_folder(NANO)
    return local_checkpoint(
        source, revision=revision, cache_dir=cache_dir, offline=offline, token=token, files=files
    )


def find_parts(
    path: Path,
    given: Mapping[str, str | Path] | None = None,
    *,
    offline: bool = False,
    token: str | None = None,
    cache_dir: str | Path | None = None,
) -> dict[str, Path]:
    """What a checkpoint needs beside its own files, by name.

    Args:
        path: of the checkpoint, as ``find_checkpoint`` gives it.
        given: hub ids, folders or files, by name. Vocabularies that are not given are fetched from where
            they were published; weights are not.
        offline: as for ``load_model``, and so are the arguments after it.

    Raises:
        ConfigError: if it needs no part of such a name.
        WeightsError: if a part is neither given nor fetched, or is not there.
    """
    given = given or {}
    family = family_of(path)
    missing: tuple[MissingPart, ...] = ()
    if family.has_bare_files:
        missing = import_module(family.home).missing_parts(path)
    names = [part.name for part in missing]
    if unknown := sorted(given.keys() - set(names)):
        needed = f"it needs {', '.join(names)}" if names else "it needs nothing beside its files"
        raise ConfigError(f"{path} takes no part {', '.join(unknown)}; {needed}.")
    lacking = [part for part in missing if not part.is_fetched and part.name not in given]
    if lacking:
        wanted = " and ".join(part.what for part in lacking)
        example = ", ".join(f"{part.name!r}: {part.published!r}" for part in lacking)
        raise WeightsError(
            f"{path} is only a part of a model and needs {wanted}; pass parts={{{example}}}, or your own "
            "copies of them."
        )
    place = {"offline": offline, "token": token, "cache_dir": cache_dir}
    return {part.name: _find_part(path, part, given, **place) for part in missing}


def open_weights(path: Path, parts: Mapping[str, Path]) -> TensorSource:
    """The tensors that a checkpoint is made of, those of its parts included; none is read."""
    family = family_of(path)
    if not family.has_bare_files:
        return open_checkpoint(path)
    weights: TensorSource = import_module(family.home).open_weights(path, parts)
    return weights


def stored_dtype(path: Path) -> str | None:
    """The dtype of all weights of a whole model, as torch names it; None where they have several.

    Args:
        path: as ``find_checkpoint`` gives it.
    """
    dtypes = {dtype for dtype in open_weights(path, find_parts(path)).dtypes.values() if "float" in dtype}
    return dtypes.pop() if len(dtypes) == 1 else None


def family_of(path: Path) -> Family:
    """The family of a folder, by its ``config.json``, or of weights without one that we know, by their keys.

    Raises:
        WeightsError: if there is none, or the checkpoint is only a part of a model.
    """
    config = read_json(path / "config.json") if (path / "config.json").is_file() else {}
    if _is_known(str(config.get("model_type"))):
        return find_family(config)
    try:
        shapes = open_checkpoint(path).shapes
    except WeightsError:
        if config:
            return find_family(config)  # which says that no family knows it
        raise
    for family in FAMILIES:
        model_type = import_module(family.home).recognise(shapes) if family.has_bare_files else None
        if model_type is not None:
            return find_family({"model_type": model_type})
    if config:
        return find_family(config)
    some = ", ".join(list(shapes)[:4])
    raise WeightsError(
        f"{path} has no config.json that says what it is, and no family knows its weights ({some}, ...)."
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


def _is_known(model_type: str) -> bool:
    return any(model_type in (*family.model_types, *family.part_types) for family in FAMILIES)


def _parts_for(family: Family, found: Mapping[str, Path]) -> dict[str, Any]:
    return {"parts": found} if family.has_bare_files else {}


def _find_part(path: Path, part: MissingPart, given: Mapping[str, str | Path], **place: Any) -> Path:
    source = given.get(part.name, part.published)
    try:
        return local_checkpoint(source, files=part.files, **place)
    except WeightsError as error:
        raise WeightsError(
            f"{path} needs {part.what}: {error} It can be given as parts={{{part.name!r}: ...}}."
        ) from error


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
