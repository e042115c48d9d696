"""TensorBoard, Weights & Biases and trackio, for those who want their curves there.

Each stage has curves of its own, over its own steps; a run that goes on goes on there as well.
"""

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from kinema.errors import MissingExtraError
from kinema.optional import require
from kinema.training.run import RunConfig, TrackerName
from kinema.training.stage import Stage
from kinema.training.step_log import Line, Outlet


def tracker(name: TrackerName, run: RunConfig) -> Outlet:
    """Somewhere to send lines.

    Raises:
        MissingExtraError: if it is not installed.
    """
    if name == "tensorboard":
        require("tensorboard", "train")
        return TensorBoard(run.out_dir / "tensorboard")
    return Hosted(name, run)


class TensorBoard:
    """Event files, one folder a stage: ``tensorboard --logdir OUT/tensorboard`` shows all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: Any = None

    def begin(self, stage: Stage, first_step: int) -> None:
        """Events after the step that the run goes on from are hidden."""
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        self.writer = SummaryWriter(str(self.folder / stage.name), purge_step=first_step + 1)

    def step(self, step: int, loss: float) -> None:
        """Lines are enough."""

    def write(self, line: Line) -> None:
        """One scalar a number."""
        for name, value in _numbers(line).items():
            self.writer.add_scalar(name, value, line["step"])
        self.writer.flush()

    def close(self) -> None:
        """Finish the file of the stage."""
        if self.writer is not None:
            self.writer.close()


class Hosted:
    """A run at Weights & Biases, or in trackio, which takes the same calls."""

    def __init__(self, name: Literal["wandb", "trackio"], run: RunConfig) -> None:
        try:
            self.library: Any = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise  # it is there, and what it needs is not
            raise MissingExtraError(
                f"trackers asks for {name}, which is not installed: pip install {name}, or leave it out."
            ) from error
        self.name, self.run = name, run
        self.session: Any = None

    def begin(self, stage: Stage, first_step: int) -> None:
        """Join the run, which has the name of its folder."""
        if self.session is not None:
            return
        folder = self.run.out_dir.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        settings: dict[str, Any] = {
            "project": "kinema",
            "resume": "allow",
            "config": _plain(asdict(self.run)),
        }
        if self.name == "wandb":
            identity = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
            settings |= {"name": folder.name, "id": identity, "dir": str(folder)}
        else:
            settings |= {"name": f"{folder.parent.name}-{folder.name}"}
        self.session = self.library.init(**settings)

    def step(self, step: int, loss: float) -> None:
        """Lines are enough."""

    def write(self, line: Line) -> None:
        """One number each, under the name of the stage, and the step that they are of."""
        self.library.log({f"{line['stage']}/{name}": value for name, value in _numbers(line).items()})

    def close(self) -> None:
        """Wait until everything is sent."""
        if self.session is not None:
            self.library.finish()


def _numbers(line: Line) -> dict[str, float]:
    return {name: value for name, value in line.items() if isinstance(value, int | float)}


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
