"""Which parts of a model learn, at which rate, and by which rule."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from kinema.distributed.gather import average_gradients
from kinema.errors import ConfigError, WeightsError


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
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    eps: float = 1e-8
    max_grad_norm: float = 1.0


class PartOptimizer:
    """One optimizer a rule, moved together."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], max_grad_norm: float) -> None:
        self.optimizers, self.max_grad_norm = tuple(optimizers), max_grad_norm

    def step(self, factor: float) -> float:
        """Average the gradients over processes, clip them, move every parameter, forget the gradients.

        Args:
            factor: of each group's peak rate, from the schedule.

        Returns:
            The norm of the gradients before clipping.
        """
        parameters = [parameter for group in self.groups() for parameter in group["params"]]
        average_gradients(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        for group in self.groups():
            group["lr"] = group["peak_lr"] * factor
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return norm.item()

    def groups(self) -> Iterator[dict[str, Any]]:
        """Groups of parameters with their rates."""
        for optimizer in self.optimizers:
            yield from optimizer.param_groups

    def state_dict(self) -> list[dict[str, Any]]:
        """What ``load_state_dict`` takes."""
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, states: Sequence[dict[str, Any]]) -> None:
        """Go on from a saved state.

        Raises:
            WeightsError: if it is of other optimizers.
        """
        if len(states) != len(self.optimizers):
            raise WeightsError(
                f"the checkpoint holds {len(states)} optimizers, this stage has {len(self.optimizers)}: the "
                "recipe was changed since. Start the run in another folder."
            )
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)


def build_optimizer(
    model: nn.Module, learning_rates: Mapping[str, float], config: OptimizerConfig
) -> PartOptimizer:
    """Freeze what is not named and group the rest by part and rule.

    Args:
        model: its parameters are frozen and freed in place.
        learning_rates: peak rate of each part: a module or a parameter by its name, with ``*`` for any one
            step of it, such as ``connector`` or ``vision_encoder.layers.*.temporal``.
        config: the rule.

    Raises:
        ConfigError: if a named part is not a part of the model, or two of them share a parameter.
    """
    parts = find_parts(model, learning_rates)
    kinds = _kinds_of_parameters(model)
    for parameters in find_parts(model, config.undecayed).values():
        kinds |= dict.fromkeys(parameters, "vector")
    model.requires_grad_(False)
    adamw: list[dict[str, Any]] = []
    muon: list[dict[str, Any]] = []
    for name, rate in learning_rates.items():
        sorted_parameters: dict[str, list[nn.Parameter]] = {"hidden": [], "matrix": [], "vector": []}
        for parameter in parts[name]:
            parameter.requires_grad_(True)
            sorted_parameters[kinds[parameter]].append(parameter)
        hidden = _group(sorted_parameters["hidden"], rate, config.weight_decay)
        (muon if config.rule == "muon" else adamw).append(hidden)
        adamw.append(_group(sorted_parameters["matrix"], rate, config.weight_decay))
        adamw.append(_group(sorted_parameters["vector"], rate, 0.0))
    adamw, muon = ([group for group in groups if group["params"]] for groups in (adamw, muon))
    optimizers: list[torch.optim.Optimizer] = []
    if adamw:
        optimizers.append(torch.optim.AdamW(adamw, lr=0.0, betas=config.betas, eps=config.eps, fused=True))
    if muon:
        optimizers.append(torch.optim.Muon(muon, lr=0.0, adjust_lr_fn="match_rms_adamw"))
    return PartOptimizer(optimizers, config.max_grad_norm)


def _group(parameters: list[nn.Parameter], rate: float, weight_decay: float) -> dict[str, Any]:
    return {"params": parameters, "peak_lr": rate, "lr": 0.0, "weight_decay": weight_decay}


def find_parts(model: nn.Module, names: Iterable[str]) -> dict[str, list[nn.Parameter]]:
    """Parameters of each named part, in the order of the model."""
    parts: dict[str, list[nn.Parameter]] = {}
    owner: dict[nn.Parameter, str] = {}
    for name in names:
        pattern = re.compile(re.escape(name).replace(r"\*", "[^.]+") + r"(\..+)?")
        parts[name] = [value for key, value in model.named_parameters() if pattern.fullmatch(key)]
        if not parts[name]:
            raise ConfigError(
                f"no part named {name}; the model has {', '.join(dict(model.named_children()))}."
            )
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
