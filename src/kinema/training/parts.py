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


def layers_above(part: str, model: nn.Module) -> dict[nn.Parameter, int]:
    """How many layers lie above each parameter of a part that is a stack, itself counted (as in BEiT, arXiv
    2106.08254): 1 for the last layer, one more than there are for what stands before the first, such as
    embeddings, and 0 for what stands behind the last.

    Raises:
        ConfigError: if the part has no layers.
    """
    held = inside(part, dict(model.named_parameters()), model)
    names = (name for name in layers_of(model) if name.rpartition(".")[0] == f"{part}.layers")
    layers = [f"{name}." for name in names]
    if not layers:
        raise ConfigError(f"{part} has no layers of its own, so that rates cannot fall from one to the next.")
    above, left = {}, len(layers) + 1
    for name, parameter in held.items():
        own = next((number for number, layer in enumerate(layers) if name.startswith(layer)), None)
        if own is not None:
            left = 0
        above[parameter] = left if own is None else len(layers) - own
    return above


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """The layers of all its stacks, by their names: what lists called ``layers`` hold."""
    stacks = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[-1] == "layers"
    }
    return {f"{name}.{key}": layer for name, stack in stacks.items() for key, layer in stack.named_children()}
