"""What torch draws at a step, such as dropout and masks: a function of the step, so nothing must be kept."""

import numpy as np
import torch

from kinema.distributed.world import rank


def seed_step(seed: int, stage: str, step: int) -> None:
    """Begin torch's random numbers anew, other ones at each step of each stage and in each process.

    Args:
        seed: of the run.
        stage: its name.
        step: of the stage, from 0.
    """
    entropy = np.random.SeedSequence((seed, step, rank(), *stage.encode()))
    torch.manual_seed(int(entropy.generate_state(1, np.uint64)[0]))
