"""Read the tensors of a checkpoint one at a time: safetensors or weights-only pickles, whole or in shards.

Only headers are read when a folder is opened. Pickles are read with ``weights_only=True``, so no code in
them runs.
"""

import json
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Protocol

from safetensors import SafetensorError, safe_open

from kinema.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
"""How names of files of weights end."""


def open_checkpoint(source: Path) -> "TensorFiles":
    """Open one file of weights, or a checkpoint folder: its safetensors if it has any, else its pickles.

    Where weights have a name of their own, such as InternVideo2's, the folder must hold no others.

    Raises:
        WeightsError: if there are no weights, a shard is missing, or a file is cut off or of another kind.
    """
    if source.is_file():
        return TensorFiles(source, [_open_file(source)])
    if not source.is_dir():
        raise WeightsError(f"{source}: no such file or folder.")
    for whole in (source / SAFETENSORS, source / PICKLE):
        if whole.is_file():
            return TensorFiles(source, [_open_file(whole)])
        if index_path(whole).is_file():
            return _open_shards(source, index_path(whole))
    return TensorFiles(source, [_open_file(_only_file(source))])


class TensorSource(Protocol):
    """Tensors by key, read one at a time."""

    @property
    def origin(self) -> str:
        """What an error calls them."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each."""

    @property
    def dtypes(self) -> Mapping[str, str]:
        """The dtype of each, as torch names it."""

    def read(self, key: str) -> "Tensor":
        """One tensor, on the CPU. It may share memory with a file: copy it, never write into it."""


class TensorFiles:
    """The tensors of one checkpoint, by key, whichever file they lie in."""

    def __init__(self, source: Path, files: "list[SafetensorsFile | PickleFile]") -> None:
        self.origin = str(source)
        """What an error calls the checkpoint."""
        self._homes = {key: file for file in files for key in file.shapes}
        self.shapes: Mapping[str, tuple[int, ...]] = {k: home.shapes[k] for k, home in self._homes.items()}
        self.dtypes: Mapping[str, str] = {k: home.dtypes[k] for k, home in self._homes.items()}

    def read(self, key: str) -> "Tensor":
        """One tensor, on the CPU. It may share memory with the file: copy it, never write into it."""
        return self._homes[key].read(key)


class SafetensorsFile:
    """One ``.safetensors`` file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, framework="np") as file:  # its header alone needs no torch
                slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
                self.shapes = {key: tuple(found.get_shape()) for key, found in slices.items()}
                self.dtypes = {key: _dtype_name(found.get_dtype()) for key, found in slices.items()}
        except (SafetensorError, OSError) as error:
            raise WeightsError(
                f"{path} ({path.stat().st_size} bytes): no whole safetensors file ({error}); fetch it again."
            ) from error

    def read(self, key: str) -> "Tensor":
        """One tensor, a view of the file."""
        # Opened anew each time: a mapping that stays open keeps every page it has read in memory, which
        # doubles what loading holds. Opening costs about a millisecond.
        with safe_open(self.path, framework="pt") as file:
            return file.get_tensor(key)


class PickleFile:
    """One file of ``torch.save``; its tensors stay on disk until used, where the format allows.

    Trainers may have put the weights under ``module`` or ``model``, beside their own state, which is not
    read.
    """

    def __init__(self, path: Path) -> None:
        import torch

        self.path = path
        inert: list[Any] = [(OrderedDict, name) for name in _RECORDS_OF_TRAINERS]
        with path.open("rb") as file:
            head = file.read(24)
        if not head.startswith(_PICKLE_STARTS):
            raise WeightsError(
                f"{path} ({path.stat().st_size} bytes): no pickle, it begins with {head!r}; fetch it again."
            )
        try:
            with torch.serialization.safe_globals(inert):
                content = torch.load(
                    path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
                )
        except (RuntimeError, UnpicklingError, EOFError, ValueError, LookupError) as error:
            raise WeightsError(
                f"{path}: not a whole pickle of tensors alone ({_reason(error)}). Others are refused, "
                "because unpickling runs code: fetch it again, or look for safetensors of the same model."
            ) from error
        content = _unwrapped(content)
        is_flat = isinstance(content, dict) and all(isinstance(v, torch.Tensor) for v in content.values())
        if not is_flat:
            raise WeightsError(f"{path}: expected a dictionary of tensors, found {type(content).__name__}.")
        self._tensors: dict[str, Tensor] = content
        self.shapes = {key: tuple(tensor.shape) for key, tensor in content.items()}
        self.dtypes = {key: str(tensor.dtype).removeprefix("torch.") for key, tensor in content.items()}

    def read(self, key: str) -> "Tensor":
        """One tensor, a view of the file."""
        return self._tensors[key]


_RECORDS_OF_TRAINERS = ("easydict.EasyDict", "utils.easydict.EasyDict", "argparse.Namespace")
"""Classes of settings that trainers save beside the weights, such as InternVideo2's. A plain dictionary is
made in their place; the class itself is neither imported nor run."""


_PICKLE_STARTS = (b"\x80", b"PK")
"""How files of ``torch.save`` begin: a pickle, as PyTorch wrote before 1.6, or a zip archive with one."""


def _reason(error: Exception) -> str:
    """What PyTorch says of a file, without its advice to trust the file."""
    lines = str(error).splitlines() or [type(error).__name__]
    named = next((line for line in lines if "Unsupported global" in line), lines[0])
    return named.partition(". Please use")[0].strip()


def _dtype_name(code: str) -> str:
    """What torch calls a dtype of safetensors; one of eight bits keeps its code."""
    kinds = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint"}
    kind = code.rstrip("0123456789")
    return kinds[kind] + code[len(kind) :] if kind in kinds else code.lower()


def _unwrapped(content: Any) -> Any:
    """The weights alone, where a trainer put its own state beside them."""
    for level in ("module", "model"):
        if isinstance(content, dict) and isinstance(content.get(level), dict):
            return content[level]
    return content


def index_path(whole: Path) -> Path:
    """Where the index of the shards lies that stand for one file of weights."""
    return whole.with_name(f"{whole.name}.index.json")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a checkpoint folder.

    Raises:
        WeightsError: if the file is absent, or not a JSON object.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; is {path.parent} a complete checkpoint folder?")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path}: not JSON ({error}); fetch it again.") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: expected a JSON object, found {type(content).__name__}.")
    return content


def _open_file(path: Path) -> SafetensorsFile | PickleFile:
    return SafetensorsFile(path) if path.suffix == ".safetensors" else PickleFile(path)


def _only_file(folder: Path) -> Path:
    files = sorted(folder.iterdir())
    weights = [path for path in files if path.suffix in WEIGHT_SUFFIXES]
    if len(weights) == 1:
        return weights[0]
    if weights:
        names = ", ".join(path.name for path in weights)
        raise WeightsError(f"{folder} holds {len(weights)} files of weights, {names}; pass the path of one.")
    found = ", ".join(path.name for path in files) or "nothing"
    raise WeightsError(f"{folder}: no {SAFETENSORS} or {PICKLE}, nor an index of shards; it holds {found}.")


def _open_shards(source: Path, index: Path) -> TensorFiles:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise WeightsError(f"{index}: expected a 'weight_map' from keys to files; fetch it again.")
    names = sorted(set(weight_map.values()))
    absent = [name for name in names if not (source / name).is_file()]
    if absent:
        raise WeightsError(f"{source}: {len(absent)} of {len(names)} shards missing: {', '.join(absent)}.")
    shards = {name: _open_file(source / name) for name in names}
    for key, name in weight_map.items():
        if key not in shards[name].shapes:
            raise WeightsError(f"{source / name}: no tensor {key}, though {index.name} places it there.")
    return TensorFiles(source, list(shards.values()))
