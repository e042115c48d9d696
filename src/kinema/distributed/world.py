"""Which process this is, of how many.

``torchrun --nproc-per-node 8 -m ...`` starts them and says so in the environment; ``joined_world`` brings
them together. A process that was started alone is rank 0 of a world of 1.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count

import torch
import torch.distributed as dist


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if _is_joined() else 0


def world_size() -> int:
    """Number of processes that work together."""
    return dist.get_world_size() if _is_joined() else 1


def launched_size() -> int:
    """Number of processes that were started together, whether or not they have joined yet."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if _is_joined():
        dist.barrier()


def own_device(device: str) -> str:
    """The device of this process: of several that ``torchrun`` started, each has the GPU of its number."""
    number = os.environ.get("LOCAL_RANK")
    return f"cuda:{number}" if device == "cuda" and number is not None else device


@contextmanager
def joined_world(device: torch.device | str) -> Iterator[None]:
    """Work together with the processes that ``torchrun`` started beside this one.

    Does nothing in a process that was started alone, or that has joined already: then whoever joined leaves.

    Args:
        device: of the tensors that will be exchanged: NCCL carries those of a GPU, Gloo those of a CPU.
    """
    if _is_joined() or launched_size() == 1:
        yield
        return
    backend = "nccl" if torch.device(device).type == "cuda" else "gloo"
    dist.init_process_group(backend, store=_next_store(), rank=_number("RANK"), world_size=launched_size())
    try:
        yield
        dist.barrier()  # who leaves while another still sends makes that one abort
    finally:
        dist.destroy_process_group()


_joins = count()


def _next_store() -> dist.Store:
    """Where processes find each other this time.

    Each time they join they write under a name of its own: what an earlier time left there would lead a fast
    process to places where nobody listens any more, and all would wait for ever.
    """
    return dist.PrefixStore(f"join{next(_joins)}", _store(os.environ["MASTER_ADDR"], _number("MASTER_PORT")))


@cache
def _store(address: str, port: int) -> dist.Store:
    """Kept, for it is gone for all when the first process lets go of it."""
    store, _, _ = next(iter(dist.rendezvous("env://")))
    return store


def _number(name: str) -> int:
    return int(os.environ[name])


def _is_joined() -> bool:
    return dist.is_available() and dist.is_initialized()
