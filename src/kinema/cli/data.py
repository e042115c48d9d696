"""``kinema data``: make data sets, check them, look at them."""

from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.command import OutputOptions, add_command
from kinema.cli.console import counter, print_json
from kinema.cli.data_check import check
from kinema.cli.data_show import show
from kinema.errors import ConfigError


def add_commands(app: typer.Typer) -> None:
    """Add the group ``data`` to an application."""
    data = typer.Typer(help="Make data sets, check them, look at them.")
    for function in (check, show, toybox):
        add_command(data, function)
    app.add_typer(data, name="data")


def toybox(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the data set; run again to go on.")],
    *,
    clips: Annotated[int, typer.Option(help="How many clips there shall be in all.")],
    level: Annotated[int, typer.Option(help="1, 2 or 3.")] = 1,
    split: Annotated[str, typer.Option(help="train, or a split that training never sees.")] = "train",
    seed: Annotated[int, typer.Option(help="Clip i is the scene of seed + i.")] = 0,
    size: Annotated[str, typer.Option(help="Pixels: HEIGHTxWIDTH, or one side of a square.")] = "112x112",
    fps: Annotated[float, typer.Option(help="Frames a second of the files.")] = 24.0,
    questions: Annotated[int, typer.Option(help="Questions a clip, at most.")] = 20,
    output: OutputOptions,
) -> None:
    """Film toybox scenes: an MP4 a clip, and a line of JSON with all that is known of it."""
    from kinema.toybox import DatasetSettings, write_dataset

    height, width = _parse_size(size)
    settings = DatasetSettings(
        level=level, split=split, seed=seed, height=height, width=width, fps=fps, num_questions=questions
    )
    with counter("filming") as progress:
        index = write_dataset(out, clips, settings, progress=progress)
    if output.json:
        print_json({"index": str(index), "clips": clips})
    else:
        typer.echo(index)


def _parse_size(text: str) -> tuple[int, int]:
    sides = text.split("x")
    if len(sides) > 2 or not all(side.isdigit() for side in sides):
        raise ConfigError(f"size must be like 112x112 or 112, got {text!r}.")
    return int(sides[0]), int(sides[-1])
