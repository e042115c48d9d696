"""Runs of two processes that are stopped, or lose one another."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from letters import LetterModel, LetterProcessor, letter_run, letter_stage
from torch import multiprocessing

from kinema.distributed.world import joined_world, rank, wait_for_all
from kinema.errors import StoppedError, TrainingError
from kinema.training.loop import train

SHARDED = ("embedding", "language_model")


class HitsTheSecond(LetterProcessor):
    """Sends the second of two processes a signal at its eighth batch."""

    def __init__(self, number: signal.Signals) -> None:
        self.number, self.left = number, 8

    def __call__(self, conversations, *, with_labels):
        self.left -= 1
        if self.left == 0 and rank() == 1:
            os.kill(os.getpid(), self.number)
        return super().__call__(conversations, with_labels=with_labels)

    def with_settings(self, **settings):
        return self


def stop_and_go_on(folder: Path) -> dict[str, Any]:
    """Stop two processes, whole and sharded, by a signal to the second; the weights when they have gone on.

    What was sharded is stopped once more in ``left``, and left there.
    """
    found: dict[str, Any] = {}
    for name, shard in (("whole", ()), ("sharded", SHARDED), ("left", SHARDED)):
        model, run = LetterModel(), letter_run(folder / name, shard=shard)
        try:
            train(model, HitsTheSecond(signal.SIGTERM), [letter_stage()], run)
        except StoppedError as error:
            found[f"{name}, said"] = str(error)
        if name != "left":
            model = LetterModel()
            train(model, LetterProcessor(), [letter_stage()], run)
            found[name] = dict(model.state_dict())
    return found


def begin_apart(folder: Path) -> dict[str, Any]:
    """What a process says that goes on in a folder of its own, whose name is its rank."""
    try:
        train(LetterModel(), LetterProcessor(), [letter_stage()], letter_run(folder / os.environ["RANK"]))
    except TrainingError as error:
        return {"said": str(error)}
    return {}


def lose_the_second(folder: Path, port: int, *, before_it_trains: bool = False) -> str:
    """What the first of two processes says when the second is killed."""
    spawn = multiprocessing.get_context("spawn")
    arguments = [(index, port, str(folder), before_it_trains) for index in range(2)]
    started = [spawn.Process(target=_lose, args=each) for each in arguments]
    for process in started:
        process.start()
    for process in started:
        process.join(timeout=120)
    return (folder / "said.txt").read_text()


def _lose(index: int, port: int, folder: str, before_it_trains: bool) -> None:
    world = {"RANK": index, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in world.items()}
    with joined_world("cpu"):
        if before_it_trains:
            _leave_the_first_alone(Path(folder) / "joined")
        try:
            train(
                LetterModel(),
                HitsTheSecond(signal.SIGKILL),
                [letter_stage()],
                letter_run(Path(folder) / "run"),
            )
        except TrainingError as error:
            (Path(folder) / "said.txt").write_text(str(error))
        os._exit(0)


def _leave_the_first_alone(mark: Path) -> None:
    """Kill the second process when both have joined."""
    wait_for_all()
    if rank() == 0:
        mark.touch()
        return
    while not mark.exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
