"""What makes a function a command: options in groups, and errors of one line.

    def caption(video: ..., *, model: ModelOptions, output: OutputOptions) -> None: ...

    add_command(app, caption)

A parameter whose type is a dataclass stands for the options that are its fields, so that options shared by
several commands are written once.
"""

import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from kinema.cli.console import note
from kinema.errors import KinemaError

_INTERRUPTED = 130
"""What a shell reports of a program that ended by Ctrl-C."""


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How every command speaks."""

    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole trace of an error.")] = False


class Program(TyperGroup):
    """A group of commands that says in one line what is wrong with the words it was called with."""

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run a command and leave with its exit code; typer's own would print a box."""
        try:
            code = super().main(*args, **settings | {"standalone_mode": False})
        except TyperException as error:
            context = getattr(error, "ctx", None)
            command = self.name if context is None else context.command_path
            message = _one_line(error.format_message()).rstrip(".")
            note(f"error: {message}. See '{command} --help'.")
            code = error.exit_code
        sys.exit(code)


def add_command(app: typer.Typer, function: Callable[..., None]) -> None:
    """Make a function a command of ``app``; it takes ``output: OutputOptions`` beside what is its own."""
    hints = get_type_hints(function, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind) and isinstance(kind, type)}

    @wraps(function)
    def run(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        with _one_line_errors(debug=values["output"].debug):
            function(**values)

    parameters = [option for p in signature(function).parameters.values() for option in _spread(p, hints)]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app.command()(run)


def _spread(parameter: Parameter, hints: dict[str, Any]) -> list[Parameter]:
    """A parameter as it is, or the fields of the group that it stands for."""
    kind = hints[parameter.name]
    if not is_dataclass(kind):
        return [parameter.replace(annotation=kind, kind=Parameter.KEYWORD_ONLY)]
    types = get_type_hints(kind, include_extras=True)
    return [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=types[field.name])
        for field in fields(kind)
    ]


@contextmanager
def _one_line_errors(*, debug: bool) -> Iterator[None]:
    """Print errors and warnings as one line each, and leave with the error's own exit code."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest, **named: note(f"warning: {_one_line(message)}")
        try:
            yield
        except BrokenPipeError:
            raise  # the reader of our output has left: typer ends quietly
        except (KinemaError, OSError) as error:
            if debug:
                traceback.print_exc()
            note(f"error: {_one_line(error)}")
            raise typer.Exit(error.exit_code if isinstance(error, KinemaError) else 1) from error
        except KeyboardInterrupt as error:
            note("interrupted")
            raise typer.Exit(_INTERRUPTED) from error


def _one_line(message: Warning | Exception | str) -> str:
    return " ".join(str(message).split())
