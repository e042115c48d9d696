"""What makes a recipe a command of its own: ``python -m kinema.recipes.nano``."""

import logging
import sys
from collections.abc import Callable

import typer

from kinema.errors import KinemaError


def run_as_program(main: Callable[..., None]) -> None:
    """Run ``main`` with the words of the command line, and leave with its exit code.

    What is logged is a line each; an error of ours, a stop among them, is one line and no trace.

    Args:
        main: its parameters are the options, as typer reads them.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        typer.run(main)
    except KinemaError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
