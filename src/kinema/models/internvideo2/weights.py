"""Weights into a network built for them: sizes from a ``config.json`` or from shapes, then every tensor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from kinema.errors import WeightsError
from kinema.hub.files import TensorSource, open_checkpoint, read_json
from kinema.hub.keymap import KeyMap
from kinema.models.family_names import family_title, named_type
from kinema.models.internvideo2.config_json import parse_config

Config = TypeVar("Config")
Module = TypeVar("Module", bound=nn.Module)


def open_own(source: Path) -> TensorSource:
    """The tensors of a file, or of a folder; none is read.

    Raises:
        WeightsError: if the folder has a ``config.json`` of another family, or no whole checkpoint.
    """
    path = source / "config.json"
    content = read_json(path) if path.is_file() else {}
    if family_title(content) not in (None, "InternVideo2"):
        raise WeightsError(
            f"{source}: config.json says {named_type(content)}, expected InternVideo2; kinema.load takes "
            "models of any family."
        )
    return open_checkpoint(source)


def sizes_of(source: Path, model_type: str, kind: type[Config], inferred: Callable[[], Config]) -> Config:
    """Sizes as our own ``config.json`` has them, else from the shapes.

    Args:
        source: a folder, or a file of weights, which has no config.
        model_type: of the config that is wanted; one of another type is not read.
        kind: what it is parsed to.
        inferred: reads the shapes.

    Raises:
        WeightsError: if the config is broken, or whatever ``inferred`` raises.
    """
    path = source / "config.json"
    content: dict[str, Any] = read_json(path) if path.is_file() else {}
    if content.get("model_type") != model_type:
        try:
            return inferred()
        except WeightsError as error:
            raise WeightsError(f"{source}: {error}") from error
    return parse_config(content, model_type, kind)


def load_network(
    build: Callable[[], Module],
    keymap: KeyMap,
    files: TensorSource,
    dtype: torch.dtype | None,
    device: torch.device | str,
) -> Module:
    """A network in evaluation mode, built without memory and given its weights tensor by tensor."""
    with torch.device("meta"):
        network = build()
    keymap.load_into(network, files, dtype=dtype, device=device)
    return network.eval()
