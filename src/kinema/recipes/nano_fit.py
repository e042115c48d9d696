"""A short training of parts that no stage of a recipe names: what nano networks know before the published
stages."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from kinema.training.optimizer import OptimizerConfig, build_optimizer
from kinema.training.precision import Precision, training_precision
from kinema.training.schedule import Cosine

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How long and how fast."""

    name: str
    """In the log."""
    num_steps: int
    learning_rate: float = 3e-3
    precision: Precision = "bfloat16"


def fit(parts: nn.Module, loss_of: Callable[[int], Tensor], config: Fit) -> float:
    """Train all parameters of some parts, in place.

    Args:
        parts: what learns.
        loss_of: the loss of a step, on data of its own.
        config: how.

    Returns:
        The mean loss of the last hundredth of the steps, or of the last one.
    """
    rates = {name: config.learning_rate for name, _ in parts.named_children()}
    optimizer = build_optimizer(
        parts, rates, OptimizerConfig(rule="muon", weight_decay=0.05, betas=(0.9, 0.98))
    )
    schedule = Cosine(warmup_ratio=0.02, final_ratio=0.05)
    last: list[float] = []
    for step in range(config.num_steps):
        with training_precision("cpu", config.precision):
            loss = loss_of(step)
        loss.backward()
        optimizer.step(schedule.factor(step, config.num_steps))
        last = [*last, loss.item()][-max(1, config.num_steps // 100) :]
        if (step + 1) % 50 == 0:
            logger.info("%s %d/%d  loss %.4f", config.name, step + 1, config.num_steps, last[-1])
    return sum(last) / len(last)
