"""Where a run stands, written so that a crash at any moment loses no finished checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kinema.errors import WeightsError
from kinema.training.optimizer import PartOptimizer


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Stages finished, and steps done in the present one."""

    stage: int = 0
    step: int = 0


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: PartOptimizer | None, progress: Progress
) -> None:
    """Write weights, optimizer and progress under a temporary name, then rename."""
    state = {
        "model": model.state_dict(),
        "optimizer": None if optimizer is None else optimizer.state_dict(),
        "stage": progress.stage,
        "step": progress.step,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load_checkpoint(path: Path, model: nn.Module) -> tuple[Progress, list[dict[str, Any]] | None]:
    """Read weights into the model.

    Returns:
        Where the run stands, and the state of the optimizer of the stage under way.

    Raises:
        WeightsError: if the checkpoint is of another model.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise WeightsError(f"{path}: made by another model than the one to be trained: {error}") from error
    return Progress(stage=state["stage"], step=state["step"]), state["optimizer"]
