"""Which parts of a model learn, at which rate, and by which rule."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from kinema.distributed.gather import average_gradients
from kinema.errors import ConfigError
from kinema.training.parts import inside, layers_above


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW; the defaults are those of the published runs (arXiv 2501.13106, training scripts)."""

    rule: Literal["adamw", "muon"] = "adamw"
    """``muon`` moves hidden matrices by an orthogonalised momentum (Jordan et al., 2024) at AdamW's scale and
    leaves the rest to AdamW. No published run used it; nano, which starts from nothing, learns the language
    of the toybox with it in a fifth of the steps."""
    weight_decay: float = 0.0
    """On matrices only; norms and biases have none."""
    undecayed: tuple[str, ...] = ()
    """Matrices without weight decay, by their names as parts are named: position tables, in some published
    runs."""
    layer_decay: Mapping[str, float] = field(default_factory=dict)
    """Of parts that are stacks: what the rate of a layer is multiplied with to get that of the one below it;
    see ``layers_above``. What stands behind the last layer has the rate of the part."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    eps: float = 1e-8
    max_grad_norm: float = 1.0


class PartOptimizer:
    """One optimizer a rule, moved together."""

    def __init__(
        self,
        optimizers: Sequence[torch.optim.Optimizer],
        max_grad_norm: float,
        scaler: torch.amp.GradScaler,
    ) -> None:
        self.optimizers, self.max_grad_norm, self.scaler = tuple(optimizers), max_grad_norm, scaler

    def step(self, factor: float, *, is_usable: bool = True) -> float:
        """Average the gradients over processes, clip them, move every parameter, forget the gradients.

        Args:
            factor: of each group's peak rate, from the schedule.
            is_usable: whether parameters may be moved; if not, gradients are forgotten only.

        Returns:
            The norm of the gradients before clipping; where it is not finite, nothing was moved, and the
            scale of a scaled loss has become smaller.
        """
        parameters = [parameter for group in self.groups() for parameter in group["params"]]
        average_gradients(parameters)
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norm = _clip(parameters, self.max_grad_norm)
        for group in self.groups():
            group["lr"] = group["peak_lr"] * factor
        for optimizer in self.optimizers:
            if is_usable and math.isfinite(norm):
                self.scaler.step(optimizer)
            optimizer.zero_grad(set_to_none=True)
        self.scaler.update()
        return norm

    def groups(self) -> Iterator[dict[str, Any]]:
        """Groups of parameters with their rates."""
        for optimizer in self.optimizers:
            yield from optimizer.param_groups


def build_optimizer(
    model: nn.Module,
    learning_rates: Mapping[str, float],
    config: OptimizerConfig,
    scaler: torch.amp.GradScaler | None = None,
) -> PartOptimizer:
    """Freeze what is not named and group the rest by part and rule.

    Args:
        model: its parameters are frozen and freed in place.
        learning_rates: peak rate of each part: a module or a parameter by its name, with ``*`` for any one
            step of it, such as ``connector`` or ``vision_encoder.layers.*.temporal``.
        config: the rule.
        scaler: of the loss, where gradients would be too small for their dtype; None for none.

    Raises:
        ConfigError: if a named part is not a part of the model, two of them share a parameter, or one whose
            rate falls from layer to layer has no layers or no rate.
    """
    if unnamed := config.layer_decay.keys() - learning_rates.keys():
        raise ConfigError(f"layer_decay names {', '.join(sorted(unnamed))}, for which there is no rate.")
    parts = find_parts(model, learning_rates)
    kinds = _kinds_of_parameters(model)
    for parameters in find_parts(model, config.undecayed).values():
        kinds |= dict.fromkeys(parameters, "vector")
    model.requires_grad_(False)
    adamw: list[dict[str, Any]] = []
    muon: list[dict[str, Any]] = []
    for name, rate in learning_rates.items():
        for factor, parameters in _by_factor(model, name, parts[name], config.layer_decay.get(name)).items():
            sorted_parameters: dict[str, list[nn.Parameter]] = {"hidden": [], "matrix": [], "vector": []}
            for parameter in parameters:
                parameter.requires_grad_(True)
                sorted_parameters[kinds[parameter]].append(parameter)
            hidden = _group(sorted_parameters["hidden"], rate * factor, config.weight_decay)
            (muon if config.rule == "muon" else adamw).append(hidden)
            adamw.append(_group(sorted_parameters["matrix"], rate * factor, config.weight_decay))
            adamw.append(_group(sorted_parameters["vector"], rate * factor, 0.0))
    optimizers: list[torch.optim.Optimizer] = []
    for groups in _apart(adamw):
        optimizers.append(torch.optim.AdamW(groups, lr=0.0, betas=config.betas, eps=config.eps, fused=True))
    for groups in _apart(muon):
        optimizers.append(torch.optim.Muon(groups, lr=0.0, adjust_lr_fn="match_rms_adamw"))
    return PartOptimizer(optimizers, config.max_grad_norm, scaler or torch.amp.GradScaler(enabled=False))


def _by_factor(
    model: nn.Module, name: str, parameters: list[nn.Parameter], decay: float | None
) -> dict[float, list[nn.Parameter]]:
    """Parameters of a part by what its rate is multiplied with."""
    if decay is None:
        return {1.0: parameters}
    above, found = layers_above(name, model), dict[float, list[nn.Parameter]]()
    for parameter in parameters:
        found.setdefault(decay ** above[parameter], []).append(parameter)
    return found


def _clip(parameters: Sequence[nn.Parameter], max_norm: float) -> float:
    """Scale gradients down to a norm; returns the norm they had, over all shards."""
    shards = [parameter for parameter in parameters if isinstance(parameter, DTensor)]
    if not shards:
        return nn.utils.clip_grad_norm_(parameters, max_norm).item()
    whole = [parameter for parameter in parameters if not isinstance(parameter, DTensor)]
    of_shards = nn.utils.get_total_norm(_gradients(shards))
    assert isinstance(of_shards, DTensor)
    of_whole = nn.utils.get_total_norm(_gradients(whole))
    norm = math.hypot(of_whole.item(), of_shards.full_tensor().item())
    if norm > max_norm:
        torch._foreach_mul_(_gradients(whole), max_norm / norm)
        torch._foreach_mul_(_gradients(shards), max_norm / norm)
    return norm


def _gradients(parameters: Sequence[nn.Parameter]) -> list[torch.Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _apart(groups: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Groups of whole parameters, and groups of sharded ones: no operation takes both."""
    for is_shard in (False, True):
        chosen = [
            {**group, "params": [some for some in group["params"] if isinstance(some, DTensor) is is_shard]}
            for group in groups
        ]
        if kept := [group for group in chosen if group["params"]]:
            yield kept


def _group(parameters: list[nn.Parameter], rate: float, weight_decay: float) -> dict[str, Any]:
    return {"params": parameters, "peak_lr": rate, "lr": 0.0, "weight_decay": weight_decay}


def find_parts(model: nn.Module, names: Iterable[str]) -> dict[str, list[nn.Parameter]]:
    """Parameters of each named part that learn with it, in the order of the model.

    Of a part that has low-rank updates (``training.adapters``) these alone.
    """
    parts: dict[str, list[nn.Parameter]] = {}
    owner: dict[nn.Parameter, str] = {}
    named = dict(model.named_parameters())
    for name in names:
        held = inside(name, named, model)
        updates = {key: value for key, value in held.items() if ".lora_" in key}
        parts[name] = list((updates or held).values())
        for parameter in parts[name]:
            if parameter in owner:
                raise ConfigError(f"{owner[parameter]} and {name} share a parameter; a part has one rate.")
            owner[parameter] = name
    return parts


def _kinds_of_parameters(model: nn.Module) -> dict[nn.Parameter, str]:
    """What each is: a ``hidden`` matrix of a linear layer, another ``matrix``, or a ``vector``, which never
    decays."""
    kinds = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.ndim < 2:
                kinds[parameter] = "vector"
            else:
                kinds[parameter] = "hidden" if isinstance(module, nn.Linear) else "matrix"
    return kinds
