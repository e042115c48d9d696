"""A run that is killed ten times, and one that is not: ``python many_lives.py FOLDER SEED``.

The process imports everything once; each life is a fork of it, and goes on where the one before was killed.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.figure  # noqa: F401  here rather than in every life
import torch
import torch.distributed.checkpoint
from letters import LetterModel, LetterProcessor, letter_run, letter_stage

from kinema.training.loop import train
from kinema.training.optimizer import OptimizerConfig

NUM_KILLS = 10


def live(folder: Path) -> None:
    """Run from wherever the folder says to the end, and keep the weights."""
    muon = OptimizerConfig(rule="muon", weight_decay=0.1)
    stages = [letter_stage("one", 40), letter_stage("two", 40, optimizer=muon)]
    model = LetterModel(dropout=0.1)
    train(model, LetterProcessor(), stages, letter_run(folder, log_every=7, save_every=3))
    torch.save(model.state_dict(), folder / "weights.pt")


def fork(life: Callable[[], None]) -> int:
    """Begin a life in a process of its own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            life()
            code = 0
        finally:
            os._exit(code)
    return child


def kill(child: int, folder: Path, delay_s: float, *, while_it_saves: bool) -> bool:
    """Kill a life after some time, or when it then begins to write a checkpoint.

    Returns:
        Whether it was still alive.
    """
    time.sleep(delay_s)
    if while_it_saves:
        deadline = time.monotonic() + 5
        while not list(folder.glob("checkpoints/partial-*")) and time.monotonic() < deadline:
            time.sleep(1e-4)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main(folder: Path, seed: int) -> None:
    """Let one run live unharmed in ``whole``, and another be killed ten times in ``killed``.

    The lives are as long, in the mean, that the last of them would be near the end of the run.
    """
    torch.set_num_threads(1)
    began = time.monotonic()
    os.waitpid(fork(lambda: live(folder / "whole")), 0)
    share_s = (time.monotonic() - began) / (NUM_KILLS + 2)
    chance, killed = random.Random(seed), 0
    for number in range(NUM_KILLS):
        child, delay_s = fork(lambda: live(folder / "killed")), chance.uniform(0.3, 1.7) * share_s
        killed += kill(child, folder / "killed", delay_s, while_it_saves=number % 2 == 1)
    (folder / "kills.txt").write_text(str(killed))
    os.waitpid(fork(lambda: live(folder / "killed")), 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
