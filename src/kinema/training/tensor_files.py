"""Named tensors as a folder of safetensors files, whole or in the shards of several processes.

``torch.distributed.checkpoint`` does the work: every process writes what it holds, what all hold alike is
written once, and what was written by eight processes can be read by one. Its safetensors form is used for two
reasons: nothing that is read is ever unpickled, and a small model is written in a third of the time.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kinema.distributed.world import world_size

MAX_FILE_BYTES = 2**30
"""A file is put together in memory before it is written."""


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """What a folder holds under a name."""

    shape: torch.Size
    dtype: torch.dtype


def write_tensors(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, whole or sharded (``DTensor``), and wait until the disk has them.

    All processes call it together, each with its shards.

    Raises:
        OSError: if the disk does not take them.
    """
    # Takes a second to import, and whoever only asks a model a question does not need it.
    import torch.distributed.checkpoint as dcp

    folder.mkdir(parents=True, exist_ok=True)
    writer = dcp.HuggingFaceStorageWriter(
        str(folder), fqn_to_index_mapping=_files(tensors), save_distributed=True
    )
    with _as_told(), _plain_errors():
        dcp.save(dict(tensors), storage_writer=writer, no_dist=world_size() == 1)


def read_tensors(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Read tensors of these names in place; each process reads its own shards.

    Raises:
        OSError: if the files cannot be read.
    """
    import torch.distributed.checkpoint as dcp

    reader = dcp.HuggingFaceStorageReader(str(folder))
    with _as_told(), _plain_errors():
        dcp.load(dict(tensors), storage_reader=reader, no_dist=world_size() == 1)


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """What a folder holds, by name."""
    import torch.distributed.checkpoint as dcp

    entries = dcp.HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    return {
        name: StoredTensor(shape=entry.size, dtype=entry.properties.dtype)
        for name, entry in entries.items()
        if isinstance(entry, dcp.TensorStorageMetadata)  # there is nothing else in safetensors
    }


def _files(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The number of the file that each tensor goes to, from 1."""
    files, number, filled = {}, 1, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        if filled and filled + size > MAX_FILE_BYTES:
            number, filled = number + 1, 0
        files[name] = number
        filled += size
    return files


@contextmanager
def _as_told() -> Iterator[None]:
    """Without the warning that one process works alone, which it was told to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)
        yield


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What went wrong in the first process that failed; the library's own error is no ``Exception``."""
    from torch.distributed.checkpoint import CheckpointException

    try:
        yield
    except CheckpointException as error:
        cause, _ = next(iter(error.failures.values()))
        raise cause from error
