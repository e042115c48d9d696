"""What people see beside the answer: progress and notes on stderr, JSON documents on stdout."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

STDERR = Console(stderr=True)


def note(text: str) -> None:
    """Print one line to stderr, above a running progress display."""
    STDERR.print(Text(text), soft_wrap=True)


def print_json(document: dict[str, Any]) -> None:
    """Print a document to stdout."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


@contextmanager
def spinner(describe: Callable[[], str]) -> Iterator[None]:
    """Show that work goes on, for how long it has, and what ``describe`` says of it each time it is drawn.

    Nothing is shown where stderr is not a terminal.
    """
    columns = (SpinnerColumn(), _Described(describe), TimeElapsedColumn())
    with Progress(*columns, console=STDERR, transient=True, disable=not STDERR.is_terminal) as progress:
        progress.add_task("")
        yield


@contextmanager
def counter(text: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar; what is given is to be called with how much is done, and how much there is."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=STDERR, transient=True, disable=not STDERR.is_terminal) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class _Described(ProgressColumn):
    """A text that is asked for anew."""

    def __init__(self, describe: Callable[[], str]) -> None:
        super().__init__()
        self._describe = describe

    def render(self, task: Task) -> Text:
        return Text(self._describe())
