"""Learning-rate schedules, as factors of the peak rate."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Linear warm-up, then half a cosine down to a floor."""

    warmup_ratio: float = 0.03
    """Share of the steps that warm up."""
    num_warmup: int | None = None
    """How many steps warm up, where a run says so; None takes the share."""
    final_ratio: float = 0.0
    """Rate at the end, as a share of the peak."""

    def factor(self, step: int, num_steps: int) -> float:
        """Factor of the peak rate at a step, counted from 0."""
        num_warmup = self.num_warmup
        if num_warmup is None:
            num_warmup = math.ceil(self.warmup_ratio * num_steps)
        if step < num_warmup:
            return (step + 1) / num_warmup
        progress = (step - num_warmup) / max(1, num_steps - num_warmup)
        return self.final_ratio + (1 - self.final_ratio) * 0.5 * (1 + math.cos(math.pi * progress))
