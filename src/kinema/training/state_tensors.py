"""The state of a model and of its optimizer as tensors with names, whole or sharded.

``model.connector.fc1.weight`` is a weight; ``optimizer.AdamW.connector.fc1.weight.exp_avg`` what AdamW keeps
of it. A tensor that has several names in the model, such as tied embeddings, has its first one.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kinema.errors import WeightsError
from kinema.training.optimizer import PartOptimizer
from kinema.training.tensor_files import StoredTensor

_MODEL, _OPTIMIZER = "model.", "optimizer."


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers."""
    named: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        named.setdefault(id(tensor), (name, tensor.detach()))
    return {_MODEL + name: tensor for name, tensor in named.values()}


def optimizer_tensors(model: nn.Module, optimizer: PartOptimizer) -> dict[str, Tensor]:
    """What the optimizers keep; a parameter that never had a gradient has nothing."""
    return {
        f"{prefix}.{key}": value
        for prefix, rule, parameter in _states(model, optimizer)
        for key, value in rule.state.get(parameter, {}).items()
    }


def expect_same_model(path: Path, tensors: Mapping[str, Tensor], stored: Mapping[str, StoredTensor]) -> None:
    """Raise ``WeightsError`` where a checkpoint does not have the weights of this model, in these shapes."""
    theirs = {name: entry.shape for name, entry in stored.items() if name.startswith(_MODEL)}
    ours = {name: tensor.shape for name, tensor in tensors.items()}
    different = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    if different:
        name = different[0]
        raise WeightsError(
            f"{path} was made by another model than the one to be trained: they differ in {len(different)} "
            f"tensors, such as {name.removeprefix(_MODEL)}, which is {_shown(theirs.get(name))} there and "
            f"{_shown(ours.get(name))} here. Start the run in another folder."
        )


def room_for_states(
    path: Path, model: nn.Module, optimizer: PartOptimizer, stored: Mapping[str, StoredTensor]
) -> dict[str, Tensor]:
    """Empty tensors for what a checkpoint holds of the optimizers, sharded as the parameters are.

    Raises:
        WeightsError: if it holds something of a parameter or by a rule that this stage does not have.
    """
    parameters = {prefix: parameter for prefix, _, parameter in _states(model, optimizer)}
    room = {}
    for name, entry in stored.items():
        if not name.startswith(_OPTIMIZER):
            continue
        parameter = parameters.get(name.rpartition(".")[0])
        if parameter is None:
            raise WeightsError(
                f"{path} holds {name}, and this stage does not learn that: the recipe was changed since. "
                "Start the run in another folder."
            )
        if entry.shape == parameter.shape:
            room[name] = torch.zeros_like(parameter.detach(), dtype=entry.dtype)
        else:
            room[name] = torch.zeros(entry.shape, dtype=entry.dtype)
    return room


def fill_optimizer(model: nn.Module, optimizer: PartOptimizer, states: Mapping[str, Tensor]) -> None:
    """Let optimizers that have not moved yet go on from these states."""
    kept: dict[str, dict[str, Tensor]] = {}
    for name, tensor in states.items():
        prefix, _, key = name.rpartition(".")
        kept.setdefault(prefix, {})[key] = tensor
    for rule in optimizer.optimizers:
        prefixes = [prefix for prefix, its_rule, _ in _states(model, optimizer) if its_rule is rule]
        numbered = {number: kept[prefix] for number, prefix in enumerate(prefixes) if prefix in kept}
        rule.load_state_dict({"state": numbered, "param_groups": rule.state_dict()["param_groups"]})


def _states(
    model: nn.Module, optimizer: PartOptimizer
) -> Iterator[tuple[str, torch.optim.Optimizer, nn.Parameter]]:
    """Each parameter that is learned, with its optimizer and the name that its states begin with."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    for rule in optimizer.optimizers:
        for group in rule.param_groups:
            for parameter in group["params"]:
                yield f"{_OPTIMIZER}{type(rule).__name__}.{names[parameter]}", rule, parameter


def _shown(shape: Any) -> str:
    return "absent" if shape is None else "x".join(map(str, shape)) or "a number"
