"""``kinema chat``: several questions about one video, which is read once."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from kinema.cli.ask import print_pieces, write_frames
from kinema.cli.command import OutputOptions, add_command
from kinema.cli.console import note, print_json, spinner
from kinema.cli.loading import check_folder, load, media_of
from kinema.cli.options import AnswerOptions, FrameOptions, ModelOptions, SeenOptions, ask_options
from kinema.cli.report import describe_usage, summarise

if TYPE_CHECKING:
    from kinema.inference.session import Session


def add_commands(app: typer.Typer) -> None:
    """Add the command of this file to an application."""
    add_command(app, chat)


def chat(
    video: Annotated[
        str | None,
        typer.Argument(
            metavar="VIDEO",
            help="A video, an image or what 'kinema ask --help' names besides; without, words alone.",
        ),
    ] = None,
    *,
    model: ModelOptions,
    frames: FrameOptions,
    seen: SeenOptions,
    answer: AnswerOptions,
    output: OutputOptions,
) -> None:
    """Talk about a video: one question a line, from the keyboard or a pipe.

    The video is read once, and earlier questions are remembered. /forget starts over; /exit or Ctrl-D leaves;
    Ctrl-C cuts an answer short.
    """
    media = media_of([video] if video else [])
    check_folder(seen.frames_to)
    engine = load(model.model, model)
    options = ask_options(frames, answer)
    with spinner(lambda: f"reading {video}" if video else "getting ready"):
        session = engine.session(media or None, **options)
    write_frames(engine, media, "", options, seen)
    is_typed = sys.stdin.isatty() and not output.json
    if is_typed:
        _welcome(video, session)
    turns = []
    with session:
        media_report = describe_usage(session.last_usage)["media"]
        for question in _questions(session, "you> " if is_typed else ""):
            if output.json:
                turns.append({"question": question, "answer": session.ask(question)})
            else:
                _print_answer(session, question)
    if output.json:
        print_json({"model": model.model, "media": media_report, "turns": turns})


def _welcome(video: str | None, session: "Session") -> None:
    with suppress(ImportError):  # not on every system: then lines cannot be edited or called back
        import_module("readline")
    note(f"{video or 'no video'}: {summarise(session.last_usage)}. /forget starts over, Ctrl-D leaves.")


def _questions(session: "Session", prompt: str) -> Iterator[str]:
    """Lines as they are entered; commands to the chat itself are done on the way."""
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            if prompt:
                typer.echo()
            return
        if line == "/exit":
            return
        if line == "/forget":
            session.forget()
            note("forgotten what was said")
        elif line:
            yield line


def _print_answer(session: "Session", question: str) -> None:
    """Print the answer as it comes; Ctrl-C cuts it short and the talk goes on."""
    try:
        print_pieces(session.ask(question, stream=True))
    except KeyboardInterrupt:
        typer.echo()
        note("cut short")
