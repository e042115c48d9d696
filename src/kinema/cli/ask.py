"""``kinema ask``, ``caption`` and ``locate``: one question, one answer."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from kinema.cli.command import OutputOptions, add_command
from kinema.cli.console import note, print_json, spinner
from kinema.cli.loading import check_folder, check_media, load, media_of, work_of
from kinema.cli.options import (
    Also,
    AnswerOptions,
    FrameOptions,
    ModelOptions,
    Question,
    SeenOptions,
    Video,
    ask_options,
)
from kinema.cli.report import describe_usage, summarise

if TYPE_CHECKING:
    from kinema.cli.loading import Named
    from kinema.inference.engine import VideoLanguageModel
    from kinema.inference.request import AskOptions


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this file to an application."""
    for function in (ask, caption, locate):
        add_command(app, function)


def ask(
    video: Video,
    question: Question = None,
    *,
    also: Also = None,
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--no-stream", help="Print words as they come; default on a terminal."),
    ] = None,
    model: ModelOptions,
    frames: FrameOptions,
    seen: SeenOptions,
    answer: AnswerOptions,
    output: OutputOptions,
) -> None:
    """Ask a video a question."""
    media = media_of([video, *(also or ())])
    check_folder(seen.frames_to)
    engine = load(model.model, model)
    if question is None:
        question = engine.profile.caption_prompt
    options = ask_options(frames, answer)
    if not output.json and (sys.stdout.isatty() if stream is None else stream):
        with spinner(lambda: work_of(engine)):
            pieces = engine.ask(media, question, stream=True, **options)
        print_pieces(pieces)
        note(summarise(engine.last_usage))
    else:
        with spinner(lambda: work_of(engine)):
            text = engine.ask(media, question, **options)
        if output.json:
            report = describe_usage(engine.last_usage)
            print_json({"model": model.model, "question": question, "answer": text, **report})
        else:
            typer.echo(text)
    write_frames(engine, media, question, options, seen)


def caption(
    video: Video,
    *,
    also: Also = None,
    model: ModelOptions,
    frames: FrameOptions,
    seen: SeenOptions,
    answer: AnswerOptions,
    output: OutputOptions,
) -> None:
    """Describe a video."""
    ask(
        video,
        None,
        also=also,
        model=model,
        frames=frames,
        seen=seen,
        answer=answer,
        output=output,
    )


def locate(
    video: Video,
    event: Annotated[str, typer.Argument(metavar="EVENT", help='Such as "the red circle".')],
    *,
    model: ModelOptions,
    frames: FrameOptions,
    seen: SeenOptions,
    answer: AnswerOptions,
    output: OutputOptions,
) -> None:
    """Find when something happens in a video."""
    check_media([video])
    check_folder(seen.frames_to)
    engine = load(model.model, model)
    options = ask_options(frames, answer)
    with spinner(lambda: work_of(engine)):
        spans = engine.locate(video, event, **options)
    if output.json:
        found = [asdict(span) for span in spans]
        print_json(
            {"model": model.model, "event": event, "spans": found, **describe_usage(engine.last_usage)}
        )
    elif not spans:
        note(f"the model names no time for {event!r}")
    else:
        for span in spans:
            typer.echo(f"{span.start_s:.2f} s to {span.end_s:.2f} s (score {span.score:.2f})")
    write_frames(engine, [video], engine.profile.locate_prompt.format(text=event), options, seen)


def print_pieces(pieces: Iterator[str]) -> None:
    """Print text as it comes, and end the line."""
    for piece in pieces:
        typer.echo(piece, nl=False)
        sys.stdout.flush()
    typer.echo()


def write_frames(
    engine: "VideoLanguageModel",
    media: "Sequence[Named]",
    question: str,
    options: "AskOptions",
    seen: SeenOptions,
) -> None:
    """Do what ``--frames-to`` asks."""
    if seen.frames_to is None:
        return
    from kinema.cli.frames import write_seen
    from kinema.inference.request import build_request

    conversation = build_request(media, question, options, engine.sampling).conversation
    with spinner(lambda: "writing frames"):
        write_seen(engine, conversation, seen.frames_to, max_tokens=options.get("max_tokens"))
    note(f"frames written to {seen.frames_to}")
