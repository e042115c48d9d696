"""What a run tells of itself as it goes."""

import json
import logging
import time
from pathlib import Path

from kinema.processors.inputs import ModelInputs
from kinema.training.feed import Batch
from kinema.training.stage import Stage

logger = logging.getLogger(__name__)


class StepLog:
    """One JSON line every few steps: loss, rates, how fast it goes, and how many samples were too long."""

    def __init__(self, path: Path, stage: Stage, *, every: int) -> None:
        self.path, self.stage, self.every = path, stage, every
        path.parent.mkdir(parents=True, exist_ok=True)
        self._restart()

    def _restart(self) -> None:
        self.losses: list[float] = []
        self.num_samples = self.num_tokens = self.num_cut = 0
        self.started = time.perf_counter()

    def add(self, step: int, loss: float, grad_norm: float, factor: float, parts: list[Batch]) -> None:
        """Count a step, and write a line when one is due."""
        self.losses.append(loss)
        for inputs in parts:
            self.num_samples += len(inputs.input_ids)
            self.num_tokens += inputs.input_ids.numel()
            self.num_cut += inputs.num_cut if isinstance(inputs, ModelInputs) else 0
        if (step + 1) % self.every:
            return
        seconds = time.perf_counter() - self.started
        line = {
            "stage": self.stage.name,
            "step": step + 1,
            "of": self.stage.num_steps,
            "loss": round(sum(self.losses) / len(self.losses), 4),
            "grad_norm": round(grad_norm, 3),
            "rate_factor": round(factor, 4),
            "samples_per_s": round(self.num_samples / seconds, 2),
            "tokens_per_s": round(self.num_tokens / seconds),
            "cut_samples": self.num_cut,
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        logger.info("%(stage)s %(step)d/%(of)d  loss %(loss).4f  %(samples_per_s).1f samples/s", line)
        self._restart()
