"""What a person sees of a run: a bar on a terminal, plain lines anywhere else."""

import logging
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from kinema.training.stage import Stage
from kinema.training.step_log import Line, Outlet

logger = logging.getLogger(__name__)

_REFRESH_S = 0.5


def display() -> Outlet:
    """A bar if errors go to a terminal, otherwise lines in the log of the program."""
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else PlainLines()


class PlainLines:
    """One line of text for each line of numbers."""

    def begin(self, stage: Stage, first_step: int) -> None:
        """Nothing to be said yet."""

    def step(self, step: int, loss: float) -> None:
        """Too often to be said."""

    def write(self, line: Line) -> None:
        """Say it."""
        logger.info("%s %d/%d  %s", line["stage"], line["step"], line["of"], in_words(line))

    def close(self) -> None:
        """Nothing to be undone."""


class Bar:
    """One bar a stage; beside it the last loss, and the last line of numbers.

    It is drawn from within the steps, by no thread of its own: a process that has some must not be forked,
    and the processes that read samples are.
    """

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}"),
            console=console,
            auto_refresh=False,
        )
        self.task: TaskID | None = None
        self.words, self.drawn = "", 0.0

    def begin(self, stage: Stage, first_step: int) -> None:
        """A bar of its own."""
        self.progress.start()
        self.words = ""
        self.task = self.progress.add_task(
            stage.name, total=stage.num_steps, completed=first_step, shown="waiting for the first batch"
        )
        self.progress.refresh()

    def step(self, step: int, loss: float) -> None:
        """Draw it anew, but not too often."""
        if time.monotonic() - self.drawn > _REFRESH_S:
            self._draw(step, self.words or f"loss {loss:.4f}")

    def write(self, line: Line) -> None:
        """Show the numbers."""
        self.words = in_words(line)
        self._draw(line["step"], self.words)

    def close(self) -> None:
        """Leave the bars as they are."""
        self.progress.stop()

    def _draw(self, step: int, shown: str) -> None:
        assert self.task is not None
        self.progress.update(self.task, completed=step, shown=shown, refresh=True)
        self.drawn = time.monotonic()


def in_words(line: Line) -> str:
    """Numbers as a person reads them; what is zero or unknown is left out."""
    loss = "none finite" if line["loss"] is None else f"{line['loss']:.4f}"
    words = [f"loss {loss}", f"{line['samples_per_s']:.1f} samples/s", f"{line['tokens_per_s']:,} tokens/s"]
    if "mfu" in line:
        words.append(f"MFU {line['mfu']:.0%}")
    words += [
        f"{line['memory_gb']:.1f} GB",
        f"data wait {line['data_wait']:.0%}",
        f"ETA {_clock(line['eta_s'])}",
    ]
    counted = {"cut_samples": "cut", "skipped_steps": "steps skipped", "bad_samples": "bad"}
    words += [f"{line[key]} {name}" for key, name in counted.items() if line.get(key)]
    return "  ".join(words)


def _clock(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
