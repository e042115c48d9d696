"""Where a run stands, written so that a crash at any moment loses no finished checkpoint.

A checkpoint is a folder: weights and the optimizer's state as safetensors (``tensor_files``), and
``progress.json``. It is written under a name that begins with ``partial-``, given to the disk, and then
renamed; so a folder under its own name is whole.
"""

import errno
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from kinema.distributed.world import rank, wait_for_all
from kinema.errors import TrainingError, WeightsError
from kinema.training.optimizer import PartOptimizer
from kinema.training.state_tensors import (
    expect_same_model,
    fill_optimizer,
    model_tensors,
    optimizer_tensors,
    room_for_states,
)
from kinema.training.tensor_files import read_tensors, stored_tensors, write_tensors

logger = logging.getLogger(__name__)

_NAME = re.compile(r"stage(\d+)-step(\d+)")
_PARTIAL, _PROGRESS = "partial-", "progress.json"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Stages finished, steps done in the present one, and what else a run must know to go on unbroken."""

    stage: int = 0
    step: int = 0
    losses: tuple[float, ...] = ()
    """Of the steps since the last line of the log."""
    skipped: int = 0
    """Steps of the run that were left out because their loss or gradient was not finite."""
    scaler: Mapping[str, Any] = field(default_factory=dict)
    """State of the scale of the loss; empty where it is not scaled."""


class Checkpoints:
    """The checkpoints of a run, the last few of them, in a folder ``checkpoints``."""

    def __init__(self, out_dir: Path, *, keep: int) -> None:
        """Of a run in ``out_dir``, at which nothing looks yet; ``keep`` of them are kept."""
        self.folder, self.keep = out_dir / "checkpoints", keep

    def remove_unfinished(self) -> None:
        """Remove what a process that was killed had begun to write; all processes call it together."""
        if rank() == 0:
            for begun in self.folder.glob(f"{_PARTIAL}*"):
                logger.info("removing %s, which was never finished", begun)
                shutil.rmtree(begun)
        wait_for_all()

    def latest(self) -> Path | None:
        """The last whole checkpoint, or None."""
        return next(reversed(self._whole()), None)

    def progress(self) -> Progress:
        """Where the run stands: at its beginning, if there is no checkpoint.

        Raises:
            WeightsError: if it cannot be read, or is of before checkpoints were folders.
        """
        old = self.folder.with_name("checkpoint.pt")
        if old.exists() and not self.folder.exists():
            raise WeightsError(
                f"{old} was written by an earlier kinema, whose runs this one does not go on with. Finish it "
                "with that version, or remove the file to begin anew."
            )
        latest = self.latest()
        return Progress() if latest is None else _read_progress(latest)

    def save(self, model: nn.Module, optimizer: PartOptimizer | None, progress: Progress) -> None:
        """Write weights, the optimizer's state and progress; then remove the oldest beyond ``keep``.

        All processes call it together.

        Raises:
            TrainingError: if the disk does not take it; the checkpoints before it are whole.
        """
        name = f"stage{progress.stage}-step{progress.step:08d}"
        path, partial = self.folder / name, self.folder / f"{_PARTIAL}{name}"
        if path in self._whole():
            return
        tensors = model_tensors(model)
        if optimizer is not None:
            tensors |= optimizer_tensors(model, optimizer)
        try:
            write_tensors(partial, tensors)
            if rank() == 0:
                _write_progress(partial, progress)
                shutil.rmtree(path, ignore_errors=True)  # without progress.json: no checkpoint
                partial.replace(path)
                _sync(self.folder)
                _sync(self.folder.parent)  # which may have the folder only now
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
            raise TrainingError(
                f"{path} could not be written: {error.strerror or error}; it takes {needed / 1e6:.0f} MB. "
                f"Make room, then {self.how_to_go_on()}"
            ) from error
        wait_for_all()
        if rank() == 0:
            for outdated in self._whole()[: -self.keep]:
                shutil.rmtree(outdated.replace(self.folder / f"{_PARTIAL}{outdated.name}"))

    def move_on(self, progress: Progress) -> None:
        """Note in the last checkpoint that what follows a stage is done: the run goes on from elsewhere.

        Raises:
            TrainingError: if there is none any more.
        """
        latest = self.latest()
        if latest is None:
            raise TrainingError(f"{self.folder} has vanished, and with it what the run has learned.")
        if rank() == 0:
            _write_progress(latest, progress)
        wait_for_all()

    def load(self, model: nn.Module, optimizer: PartOptimizer | None) -> None:
        """Read the last checkpoint into a model, and into the optimizer of a stage that is under way.

        Raises:
            WeightsError: if it is of another model or another stage, or damaged.
        """
        path = self.latest()
        if path is None:
            return
        try:
            stored = stored_tensors(path)
            tensors = model_tensors(model)
            expect_same_model(path, tensors, stored)
            states = {} if optimizer is None else room_for_states(path, model, optimizer, stored)
            read_tensors(path, tensors | states)
        except (OSError, SafetensorError) as error:
            raise WeightsError(
                f"{path} cannot be read: {error}. Remove it to go on from the checkpoint before it."
            ) from error
        if optimizer is not None:
            fill_optimizer(model, optimizer, states)

    def how_to_go_on(self) -> str:
        """What is kept, for the end of a message."""
        latest = self.latest()
        if latest is None:
            return "there is no checkpoint yet, so it begins anew."
        return f"the same command goes on from {latest}."

    def _whole(self) -> list[Path]:
        """Checkpoints, oldest first."""
        numbered = [(_NAME.fullmatch(path.name), path) for path in self.folder.glob("stage*")]
        found = [
            (int(name[1]), int(name[2]), path)
            for name, path in numbered
            if name is not None and (path / _PROGRESS).exists()
        ]
        return [path for *_, path in sorted(found)]


def _read_progress(checkpoint: Path) -> Progress:
    try:
        return Progress(**json.loads((checkpoint / _PROGRESS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{checkpoint / _PROGRESS} cannot be read: {error}. Without its folder the one before it counts."
        ) from error


def _write_progress(checkpoint: Path, progress: Progress) -> None:
    """Write the file whole or not at all, and wait until the disk knows it and all beside it by name."""
    unfinished = checkpoint / f"{_PARTIAL}{_PROGRESS}"
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(asdict(progress), file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(checkpoint / _PROGRESS)
    _sync(checkpoint)


def _sync(folder: Path) -> None:
    """Wait until the disk knows the names in a folder; Windows and some file systems cannot be asked to."""
    if sys.platform == "win32":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(number)
