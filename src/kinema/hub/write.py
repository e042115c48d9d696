"""Write a checkpoint folder: safetensors, in shards above a size, and JSON; whole or not at all."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from kinema.errors import WeightsError
from kinema.hub.files import SAFETENSORS, index_path

MAX_SHARD_BYTES = 5_000_000_000


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder that appears under its name only when everything in it has been written.

    Yields:
        A temporary folder beside ``target``; leaving the block renames it, an exception removes it.

    Raises:
        WeightsError: if ``target`` holds something already, or cannot be made, or the disk is full.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise WeightsError(
            f"{target} exists already and is not empty; name a new folder, or remove it first."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise WeightsError(f"{target}: cannot be written there ({error}).") from error
    try:
        yield unfinished
        unfinished.chmod(0o755)  # mkdtemp makes it private
        unfinished.replace(target)
    except SafetensorError as error:
        raise WeightsError(f"{target} could not be written: {error}. Make room, and do it again.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_tensors(
    folder: Path, tensors: Iterable[tuple[str, Tensor]], *, max_shard_bytes: int = MAX_SHARD_BYTES
) -> None:
    """Write safetensors as the hub lays them out: one file, or numbered shards with an index.

    Tensors are taken one shard at a time, so that no more than a shard is held beside the model.

    Args:
        folder: an existing folder without weights, such as that of ``new_folder``.
        tensors: keys and values in the order to write them.
        max_shard_bytes: most bytes of tensors in a file; a larger tensor gets a file of its own.
    """
    shards: list[list[str]] = []
    total = 0
    for number, shard in enumerate(_cut_shards(tensors, max_shard_bytes)):
        save_file(shard, folder / _unnumbered(number), metadata={"format": "pt"})
        shards.append(list(shard))
        total += sum(tensor.nbytes for tensor in shard.values())
    if len(shards) == 1:
        (folder / _unnumbered(0)).replace(folder / SAFETENSORS)
        return
    weight_map: dict[str, str] = {}
    for number, keys in enumerate(shards):
        name = f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        (folder / _unnumbered(number)).replace(folder / name)
        weight_map |= dict.fromkeys(keys, name)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json(index_path(folder / SAFETENSORS), index)


def dtype_name(tensors: Iterable[Tensor]) -> str:
    """The dtype that all tensors of a checkpoint have, as ``config.json`` names it.

    Raises:
        WeightsError: if they have several, which no config can state.
    """
    dtypes = {tensor.dtype for tensor in tensors}
    if len(dtypes) > 1:
        raise WeightsError(f"the weights are of {len(dtypes)} dtypes, {dtypes}; cast the model to one first.")
    return str(dtypes.pop()).removeprefix("torch.")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object, indented as the hub's files are."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _cut_shards(tensors: Iterable[tuple[str, Tensor]], max_bytes: int) -> Iterator[dict[str, Tensor]]:
    shard: dict[str, Tensor] = {}
    held = 0
    starts: set[int] = set()
    for key, tensor in tensors:
        if shard and held + tensor.nbytes > max_bytes:
            yield shard
            shard, held, starts = {}, 0, set()
        plain = tensor.detach().cpu().contiguous()
        if plain.data_ptr() in starts:  # shared with another key; safetensors writes no memory twice
            plain = plain.clone()
        shard[key] = plain
        starts.add(plain.data_ptr())
        held += tensor.nbytes
    yield shard


def _unnumbered(number: int) -> str:
    """The name of a shard while their count is not known."""
    return f"shard-{number}.safetensors"
