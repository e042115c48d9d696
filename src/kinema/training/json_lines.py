"""Files that a run adds to as it goes, such as its log: one JSON object a line."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kinema.training.checkpoint import Progress
from kinema.training.stage import Stage

logger = logging.getLogger(__name__)


class JsonLines:
    """Appends lines to ``log.jsonl``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, stage: Stage, first_step: int) -> None:
        """Nothing to be noted."""

    def step(self, step: int, loss: float) -> None:
        """Lines are enough."""

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line; see ``append_lines``."""
        append_lines(self.path, [line])

    def close(self) -> None:
        """Every line is on its way to the disk already."""


def append_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Add to a file; a folder that has vanished is made again.

    Raises:
        OSError: if the disk does not take them; names the file.
    """
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(_text(lines))


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
    """Take out of a file what came after the checkpoint that the run goes on from: it will come again.

    A line that a killed process did not finish goes as well, or the next one would be added to it.

    Raises:
        OSError: if the disk does not take what is left; names the file.
    """
    lines = read_lines(path)
    numbers = {stage.name: number for number, stage in enumerate(stages)}
    here = (progress.stage, progress.step)
    kept = [line for line in lines if (numbers.get(line["stage"], len(stages)), line["step"]) <= here]
    if not path.exists() or path.read_text(encoding="utf-8") == _text(kept):
        return
    logger.info("%s: %d whole lines are of after the checkpoint, and go", path, len(lines) - len(kept))
    rewritten = path.with_suffix(".partial")
    with _naming(path):
        rewritten.write_text(_text(kept), encoding="utf-8")
        rewritten.replace(path)


def _text(lines: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(line)}\n" for line in lines)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Give an error of the disk, which knows no file when it is full, the name of one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
