"""What is said, and what is kept, where a loss or a weight is no longer a finite number."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from kinema.distributed.gather import largest_of_all
from kinema.distributed.world import rank, world_size
from kinema.training.parallel import Trainee
from kinema.training.stage import Stage


@runtime_checkable
class LossOfTerms(Protocol):
    """A loss that is a sum of terms with names."""

    def terms(self, model: Any, inputs: Any) -> dict[str, Tensor]:
        """Each term of a batch."""


def weights_not_finite(model: nn.Module, device: str) -> list[str]:
    """Names of weights that learn and hold a NaN or an infinity, as this process sees them.

    Where another process sees some and this one none, because the model is sharded, it says so.
    """
    named = model.named_parameters()
    broken = [name for name, weight in named if weight.requires_grad and not _is_finite(weight)]
    if largest_of_all(len(broken), device) and not broken:
        return ["a weight of another process's shard"]
    return broken


def explain_step(learner: Trainee, stage: Stage, parts: Sequence[Any]) -> str:
    """The loss of each part of a batch and of each term, computed again, and which samples they are of."""
    told = []
    with torch.no_grad():
        for number, part in enumerate(parts):
            where = f"part {number + 1}" if len(parts) > 1 else "whole"
            if isinstance(stage.loss, LossOfTerms):
                terms = learner(stage.loss.terms, part)
                told += [f"{where} {name} {term.item():.4g}" for name, term in terms.items()]
            else:
                told.append(f"{where} {learner(stage.loss, part).item():.4g}")
    return ", ".join(told)


def samples_of(stage: Stage, step: int) -> list[int]:
    """Numbers of the samples that this process takes at a step."""
    share = stage.batch_size // world_size()
    return list(stage.order.batch(step, stage.batch_size))[rank() * share : (rank() + 1) * share]


def _is_finite(weight: Tensor) -> bool:
    local = weight.to_local() if isinstance(weight, DTensor) else weight
    return bool(local.detach().isfinite().all())
