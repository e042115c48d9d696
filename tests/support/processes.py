"""Work done by two processes that know of each other."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import multiprocessing

Work = Callable[..., dict[str, Any]]


def two_processes(folder: Path, work: Work, *arguments: Any) -> list[dict[str, Any]]:
    """What each of two processes returns from ``work``, a function of a module; ``folder`` keeps it."""
    multiprocessing.spawn(_run, (free_port(), str(folder), work, arguments), nprocs=2)
    return [torch.load(folder / f"rank{index}.pt") for index in range(2)]


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


def _run(index: int, port: int, folder: str, work: Work, arguments: tuple[Any, ...]) -> None:
    world = {"RANK": index, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in world.items()}
    torch.set_num_threads(1)
    torch.save(work(*arguments), Path(folder) / f"rank{index}.pt")
    os._exit(0)  # Gloo's threads now and then abort a process whose interpreter is being taken down
