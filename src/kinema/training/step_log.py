"""What a run tells of itself as it goes: a line of numbers every few steps, for whoever shows or keeps it."""

import math
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch

from kinema.distributed.gather import sum_of_all
from kinema.processors.inputs import ModelInputs
from kinema.training.checkpoint import Progress
from kinema.training.feed import Batch
from kinema.training.flops import FlopMeter
from kinema.training.run import RunConfig
from kinema.training.stage import Stage

Line = Mapping[str, Any]


class Outlet(Protocol):
    """Something that shows or keeps lines."""

    def begin(self, stage: Stage, first_step: int) -> None:
        """A stage begins, or goes on."""

    def step(self, step: int, loss: float) -> None:
        """So many steps of it are done."""

    def write(self, line: Line) -> None:
        """What the steps since the last line were like."""

    def close(self) -> None:
        """The run ends here, or is stopped."""


class StepLog:
    """Counts the steps of a stage, in every process; one of them has outlets.

    A line has the mean loss, the norm of the gradients, the factor on the rates, samples and tokens a second
    of all processes, the share of tokens that are no padding, samples that were cut, bad samples of the stage
    (``bad_samples``), steps left out so far, the share of time that was spent waiting for data, the peak of
    memory in GB, seconds to the end of the stage, and ``mfu`` where it is known: the share of the arithmetic
    that the device could do at best.
    """

    def __init__(self, stage: Stage, run: RunConfig, progress: Progress, outlets: Sequence[Outlet]) -> None:
        self.stage, self.run, self.outlets = stage, run, outlets
        self.meter = FlopMeter(run.device, run.precision)
        self._restart(progress.losses)
        for outlet in outlets:
            outlet.begin(stage, progress.step)

    def _restart(self, losses: Sequence[float] = ()) -> None:
        self.losses = list(losses)
        self.num_steps = self.num_samples = self.num_tokens = self.num_real = self.num_cut = 0
        self.waited_s, self.started = 0.0, time.perf_counter()

    def waiting_for(self, batches: Iterable[list[Batch]]) -> Iterator[list[Batch]]:
        """The same batches, each taken with a look at the clock."""
        source = iter(batches)
        while True:
            asked = time.perf_counter()
            parts = next(source, None)
            self.waited_s += time.perf_counter() - asked
            if parts is None:
                return
            yield parts

    def add(
        self,
        step: int,
        loss: float,
        grad_norm: float,
        factor: float,
        parts: Sequence[Batch],
        *,
        skipped: int,
        bad: int,
    ) -> None:
        """Count a step, and write a line when one is due: every few steps, and at the end of the stage.

        Args:
            step: its number, from 0.
            loss: of the whole batch.
            grad_norm: before clipping.
            factor: on the rates.
            parts: the batch.
            skipped: steps that have been left out so far.
            bad: samples of this process that were left out since it began with the stage.
        """
        if math.isfinite(loss) and math.isfinite(grad_norm):
            self.losses.append(loss)
        self.num_steps += 1
        for inputs in parts:
            self.num_samples += _num_samples(inputs)
            self.num_tokens += inputs.input_ids.numel()
            self.num_real += _num_real_tokens(inputs)
            self.num_cut += inputs.num_cut if isinstance(inputs, ModelInputs) else 0
        for outlet in self.outlets:
            outlet.step(step + 1, loss)
        if (step + 1) % self.run.log_every == 0 or step + 1 == self.stage.num_steps:
            line = self._line(step + 1, grad_norm, factor, skipped, bad)
            for outlet in self.outlets:
                outlet.write(line)
            self._restart()

    def _line(self, step: int, grad_norm: float, factor: float, skipped: int, bad: int) -> dict[str, Any]:
        seconds = time.perf_counter() - self.started
        samples, tokens, real, cut, all_bad = (
            sum_of_all(count, self.run.device)
            for count in (self.num_samples, self.num_tokens, self.num_real, self.num_cut, bad)
        )
        line = {
            "stage": self.stage.name,
            "step": step,
            "of": self.stage.num_steps,
            "loss": round(sum(self.losses) / len(self.losses), 6) if self.losses else None,
            "grad_norm": round(grad_norm, 3) if math.isfinite(grad_norm) else None,
            "rate_factor": round(factor, 4),
            "samples_per_s": round(samples / seconds, 2),
            "tokens_per_s": round(tokens / seconds),
            "real_tokens": round(real / tokens, 4) if tokens else None,
            "cut_samples": int(cut),
            "bad_samples": int(all_bad),
            "skipped_steps": skipped,
            "data_wait": round(self.waited_s / seconds, 3),
            "memory_gb": round(_peak_memory(self.run.device) / 1e9, 3),
            "eta_s": round((self.stage.num_steps - step) * seconds / self.num_steps),
        }
        mfu = self.meter.share_of_peak(self.num_tokens / seconds)
        return line if mfu is None else line | {"mfu": round(mfu, 3)}


def _num_samples(inputs: Batch) -> int:
    packed = inputs.segment_lengths if isinstance(inputs, ModelInputs) else None
    return len(inputs.input_ids) if packed is None else len(packed)


def _num_real_tokens(inputs: Batch) -> int:
    mask = inputs.attention_mask if isinstance(inputs, ModelInputs) else None
    return inputs.input_ids.numel() if mask is None else int(mask.sum())


def _peak_memory(device: str) -> int:
    """Bytes: of the GPU that were in use at once, or of the process where it trains on the CPU."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if kind == "mps":
        return torch.mps.driver_allocated_memory()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
