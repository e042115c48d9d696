"""The log of a run as a file: one JSON object a line."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinema.training.checkpoint import Progress
from kinema.training.stage import Stage
from kinema.training.step_log import Line

logger = logging.getLogger(__name__)


class JsonLines:
    """Appends lines to ``log.jsonl``; a folder that has vanished is made again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, stage: Stage, first_step: int) -> None:
        """Nothing to be noted."""

    def step(self, step: int, loss: float) -> None:
        """Lines are enough."""

    def write(self, line: Line) -> None:
        """Append a line.

        Raises:
            OSError: if the disk does not take it; names the file.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def close(self) -> None:
        """Every line is on its way to the disk already."""


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; one that a killed process did not finish is left out."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            logger.info("%s: leaving out a line that was not finished: %.60s", path, text)
    return lines


def forget_unkept(path: Path, stages: Sequence[Stage], progress: Progress) -> None:
    """Take out of a log what came after the checkpoint that the run goes on from: it will come again."""
    lines = read_lines(path)
    numbers = {stage.name: number for number, stage in enumerate(stages)}
    here = (progress.stage, progress.step)
    kept = [line for line in lines if (numbers.get(line["stage"], len(stages)), line["step"]) <= here]
    if len(kept) == len(lines):
        return
    logger.info("%s: %d lines were written after the last checkpoint, and go", path, len(lines) - len(kept))
    rewritten = path.with_suffix(".partial")
    rewritten.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    rewritten.replace(path)
