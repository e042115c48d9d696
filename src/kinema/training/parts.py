"""Parts of a model, by the names that stages give them."""

import re
from collections.abc import Mapping
from typing import TypeVar

from torch import nn

from kinema.errors import ConfigError

Found = TypeVar("Found")


def inside(name: str, named: Mapping[str, Found], model: nn.Module) -> dict[str, Found]:
    """What lies in a part, the part itself among it, in the order of the model.

    Args:
        name: a module or a parameter, with ``*`` for any one step, such as ``connector`` or
            ``vision_encoder.layers.*.temporal``.
        named: modules or parameters of the model by their names.
        model: of which they are.

    Raises:
        ConfigError: if nothing does.
    """
    pattern = re.compile(re.escape(name).replace(r"\*", "[^.]+") + r"(\..+)?")
    found = {key: value for key, value in named.items() if pattern.fullmatch(key)}
    if not found:
        raise ConfigError(f"no part named {name}; the model has {', '.join(dict(model.named_children()))}.")
    return found


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """The layers of all its stacks, by their names: what lists called ``layers`` hold."""
    stacks = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[-1] == "layers"
    }
    return {f"{name}.{key}": layer for name, stack in stacks.items() for key, layer in stack.named_children()}
