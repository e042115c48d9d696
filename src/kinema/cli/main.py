"""The program ``kinema``: one file a group of commands."""

from typing import Annotated

import typer

import kinema
from kinema.cli import ask, chat, data, doctor, embed, evaluate, models, plan, train
from kinema.cli.command import Program

app = typer.Typer(
    name="kinema",
    help="Ask videos questions, and what goes with it.",
    cls=Program,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"kinema {kinema.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _program(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Ask videos questions, and what goes with it."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for group in (ask, chat, plan, embed, models, doctor, data, train, evaluate):
    group.add_commands(app)


def run() -> None:
    """Start the program; called by the script ``kinema``."""
    app()
