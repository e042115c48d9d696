"""Which parts of a model learn, at which rate, and by which rule."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

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
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    eps: float = 1e-8
    max_grad_norm: float = 1.0


class PartOptimizer:
    """One optimizer a rule, moved together."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], max_grad_norm: float) -> None:
        self.optimizers, self.max_grad_norm = tuple(optimizers), max_grad_norm

    def step(self, factor: float) -> float:
        """Clip the gradients, move every parameter, forget the gradients.

        Args:
            factor: of each group's peak rate, from the schedule.

        Returns:
            The norm of the gradients before clipping.
        """
        parameters = [parameter for group in self.groups() for parameter in group["params"]]
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

    Raises:
        ConfigError: if a named part is not a part of the model.
    """
    parts = dict(model.named_children())
    unknown = sorted(set(learning_rates) - set(parts))
    if unknown:
        raise ConfigError(f"no part named {', '.join(unknown)}; the model has {', '.join(parts)}.")
    model.requires_grad_(False)
    adamw: list[dict[str, Any]] = []
    muon: list[dict[str, Any]] = []
    for name, rate in learning_rates.items():
        parts[name].requires_grad_(True)
        hidden, matrices, vectors = _sorted_parameters(parts[name])
        (muon if config.rule == "muon" else adamw).append(_group(hidden, rate, config.weight_decay))
        adamw.append(_group(matrices, rate, config.weight_decay))
        adamw.append(_group(vectors, rate, 0.0))
    adamw, muon = ([group for group in groups if group["params"]] for groups in (adamw, muon))
    optimizers: list[torch.optim.Optimizer] = []
    if adamw:
        optimizers.append(torch.optim.AdamW(adamw, lr=0.0, betas=config.betas, eps=config.eps, fused=True))
    if muon:
        optimizers.append(torch.optim.Muon(muon, lr=0.0, adjust_lr_fn="match_rms_adamw"))
    return PartOptimizer(optimizers, config.max_grad_norm)


def _group(parameters: list[nn.Parameter], rate: float, weight_decay: float) -> dict[str, Any]:
    return {"params": parameters, "peak_lr": rate, "lr": 0.0, "weight_decay": weight_decay}


def _sorted_parameters(
    part: nn.Module,
) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Matrices of linear layers, other matrices, and vectors."""
    hidden, matrices, vectors = [], [], []
    for module in part.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.ndim < 2:
                vectors.append(parameter)
            elif isinstance(module, nn.Linear):
                hidden.append(parameter)
            else:
                matrices.append(parameter)
    return hidden, matrices, vectors
