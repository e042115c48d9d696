"""Weights, gradients and optimizer states spread over processes (FSDP2)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from kinema.distributed.world import world_size
from kinema.training.parts import inside, layers_of
from kinema.training.precision import Precision, dtype_of


def shard(root: nn.Module, model: nn.Module, parts: Sequence[str], device: str, precision: Precision) -> None:
    """Spread parts of a model over all processes, in place, and move all else to the device.

    Every layer of a part is gathered by itself while it works, and all that is between layers as one.

    Args:
        root: has the model inside, and calls it in its own forward pass.
        model: whose parameters keep their names.
        parts: names of what is spread.
        device: of this process.
        precision: in which gathered weights are computed with; shards stay as they are.

    Raises:
        ConfigError: if a name is of no part.
    """
    named = dict(model.named_parameters())
    chosen = [parameter for part in parts for parameter in inside(part, named, model).values()]
    spread = {parameter for parameter in chosen if parameter.ndim}  # FSDP2 takes no scalars
    ignored = set(named.values()) - spread
    for tensor in (*ignored, *model.buffers()):
        tensor.data = tensor.data.to(device)
    kind = torch.device(device).type
    settings: dict[str, Any] = {"mesh": init_device_mesh(kind, (world_size(),)), "ignored_params": ignored}
    if precision != "float32":
        settings["mp_policy"] = MixedPrecisionPolicy(
            param_dtype=dtype_of(precision), reduce_dtype=torch.float32, cast_forward_inputs=False
        )
    layers = [layer for layer in layers_of(model).values() if spread.intersection(layer.parameters())]
    for module in (*layers, root):
        made = fully_shard(module, **settings)
        made.set_force_sum_reduction_for_comms(kind == "cpu")  # Gloo has no mean


class Shell:
    """A model that has lent its weights to a twin, which is trained in its place.

    FSDP2 changes what it shards for good. So it gets the twin, and the model itself stays one that can be
    saved and asked: it has shapes only, and weights where ``filled`` says so.
    """

    def __init__(self, model: nn.Module) -> None:
        tensors = [*model.parameters(), *model.buffers()]
        self.twin = deepcopy(model, {id(tensor): tensor for tensor in tensors})
        empty = {id(tensor): nn.Parameter(tensor.to("meta"), tensor.requires_grad) for tensor in tensors}
        self._places: list[tuple[nn.Module, nn.Module, str]] = []
        for ours, theirs in zip(model.modules(), self.twin.modules(), strict=True):
            for name, parameter in list(ours.named_parameters(recurse=False)):
                self._places.append((ours, theirs, name))
                ours.register_parameter(name, empty[id(parameter)])

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Within, the model has all weights of its twin, on the device of each process."""
        before = self.fill()
        yield
        for ours, name, empty, whole in before:
            if ours._parameters.get(name) is whole:  # what the caller has replaced since is left as it is
                ours.register_parameter(name, empty)

    def fill(self) -> list[tuple[nn.Module, str, nn.Parameter, nn.Parameter]]:
        """Give the model the weights of its twin wherever it has shapes only.

        Returns:
            For each: its module and name, what was there, and what is there now.
        """
        wholes: dict[int, nn.Parameter] = {}
        changed = []
        for ours, theirs, name in self._places:
            parameter, empty = theirs.get_parameter(name), ours.get_parameter(name)
            if id(parameter) not in wholes:
                wholes[id(parameter)] = _whole(parameter)
            if empty.is_meta:
                ours.register_parameter(name, wholes[id(parameter)])
                changed.append((ours, name, empty, wholes[id(parameter)]))
        return changed


def _whole(parameter: nn.Parameter) -> nn.Parameter:
    if not isinstance(parameter, DTensor):
        return parameter
    return nn.Parameter(parameter.full_tensor().detach(), requires_grad=parameter.requires_grad)
