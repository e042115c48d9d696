"""``kinema plan``: what a question will take, before any work is done."""

import typer

from kinema.cli.command import OutputOptions, add_command
from kinema.cli.console import print_json
from kinema.cli.loading import media_of, shown
from kinema.cli.options import Also, AnswerOptions, FrameOptions, ModelOptions, Question, Video, ask_options
from kinema.errors import ConfigError, OutOfBudgetError


def add_commands(app: typer.Typer) -> None:
    """Add the command of this file to an application."""
    add_command(app, plan)


def plan(
    video: Video,
    question: Question = None,
    *,
    also: Also = None,
    model: ModelOptions,
    frames: FrameOptions,
    answer: AnswerOptions,
    output: OutputOptions,
) -> None:
    """Forecast the tokens and the memory that a question will take; no weights are loaded.

    The exit code is 5 if it will not fit.
    """
    from kinema.inference.outline import plan_unloaded

    if model.part:
        raise ConfigError("a plan needs a whole folder; make one of the parts with 'kinema convert'.")
    media = media_of([video, *(also or ())])
    with shown("looking at the file and the model", model.model, offline=model.offline):
        forecast = plan_unloaded(
            model.model,
            media,
            question,
            device=model.device,
            dtype=model.dtype,
            revision=model.revision,
            offline=model.offline,
            **ask_options(frames, answer),
        )
    if output.json:
        print_json({"model": model.model, **forecast.to_dict()})
    else:
        typer.echo(str(forecast))
    if forecast.problem:
        raise typer.Exit(OutOfBudgetError.exit_code)
