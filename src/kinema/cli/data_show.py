"""``kinema data show``: one row as a model would learn from it."""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from kinema.cli.command import OutputOptions
from kinema.cli.console import print_json
from kinema.cli.loading import check_folder
from kinema.cli.options import NANO
from kinema.cli.own_data import File, ProcessorOptions, RowOptions, load_processor, own_records
from kinema.cli.report import describe_item
from kinema.errors import ConfigError, InputError

if TYPE_CHECKING:
    from kinema.processors.collate import Sample
    from kinema.processors.prepared import PreparedConversation
    from kinema.processors.tokenizer import PromptTokenizer
    from kinema.processors.visuals import EncodedVisuals, VisualItem

Kind = Literal["read", "learned", "visual"]

STYLES: dict[Kind, str] = {"read": "", "learned": "bold green", "visual": "cyan"}
MARKS = ("[[", "]]")
"""Around what is learned, where there are no colours."""


class Run(NamedTuple):
    """Neighbouring tokens of one kind."""

    kind: Kind
    text: str
    num_tokens: int


def show(
    file: File,
    *,
    row: Annotated[int, typer.Option(help="Its number, from 0.")],
    rows: RowOptions,
    model: ProcessorOptions,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PICTURE", help="Write a contact sheet of its frames, such as a PNG."),
    ] = None,
    frames_to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write its frames, each with its time, and an index.json."),
    ] = None,
    output: OutputOptions,
) -> None:
    """Show a row as a model learns from it: its prompt, what of it carries loss, its frames.

    What is learned is green, or stands in [[ ]] where there are no colours.
    """
    import numpy as np

    records = own_records(file, rows)
    if not 0 <= row < len(records):
        raise ConfigError(f"{file}: there is no row {row}; its {len(records)} rows are counted from 0.")
    check_folder(frames_to)
    name = model.model or NANO
    processor = load_processor(name, model).processor
    prepared = processor.prepare(records.sample(row, np.random.default_rng(0)), with_labels=True)
    runs = runs_of(prepared.sample, processor.tokenizer)
    _write_frames(prepared.visuals, out, frames_to)
    if output.json:
        print_json({"file": file, "row": row, "model": name, **_document(prepared, runs)})
    else:
        print_sample(prepared, runs)


def runs_of(sample: "Sample", tokenizer: "PromptTokenizer") -> list[Run]:
    """A sample cut where what is learned, read or seen begins and ends."""
    from kinema.processors.labels import IGNORE_INDEX

    assert sample.labels is not None, "the sample was made with labels"
    columns = (sample.input_ids.tolist(), sample.visual_mask.tolist(), sample.labels.tolist())
    kinds: list[tuple[int, Kind]] = [
        (token, "visual" if is_visual else "read" if label == IGNORE_INDEX else "learned")
        for token, is_visual, label in zip(*columns, strict=True)
    ]
    runs, read, so_far = [], list[int](), ""
    for kind, group in groupby(kinds, key=lambda pair: pair[1]):
        tokens = [token for token, _ in group]
        if kind == "visual":
            runs.append(Run(kind, f"<{len(tokens)} visual tokens>", len(tokens)))
            continue
        read += tokens
        text = tokenizer.decode(read, skip_special_tokens=False)  # a piece by itself may lose its blank
        runs.append(Run(kind, text[len(so_far) :], len(tokens)))
        so_far = text
    return runs


def painted(runs: list[Run], *, has_colours: bool) -> Text:
    """The runs end to end, in colours or with marks."""
    text = Text()
    for run in runs:
        opening, closing = MARKS if run.kind == "learned" and not has_colours else ("", "")
        text.append(f"{opening}{run.text}{closing}", STYLES[run.kind])
    return text


def _write_frames(visuals: "EncodedVisuals | None", out: Path | None, frames_to: Path | None) -> None:
    from kinema.cli.frames import write_frames
    from kinema.cli.sheet import contact_sheet

    if frames_to is not None:
        write_frames(visuals, frames_to)
    if out is None:
        return
    if visuals is None:
        raise InputError("there is nothing to see in this row; leave --out out.")
    try:
        contact_sheet(visuals).save(out)
    except ValueError as error:  # Pillow's for an ending that it does not know
        raise ConfigError(f"{out}: {error}; name a .png.") from error


def _document(prepared: "PreparedConversation", runs: list[Run]) -> dict[str, Any]:
    assert prepared.sample.labels is not None
    return {
        "tokens": _counts(runs),
        "media": [describe_item(item) for item in prepared.items],
        "runs": [run._asdict() for run in runs],
        "input_ids": prepared.sample.input_ids.tolist(),
        "labels": prepared.sample.labels.tolist(),
    }


def _counts(runs: list[Run]) -> dict[str, int]:
    counts = {str(kind): sum(run.num_tokens for run in runs if run.kind == kind) for kind in STYLES}
    return {"all": sum(counts.values()), **counts}


def print_sample(prepared: "PreparedConversation", runs: list[Run]) -> None:
    """Its prompt with what is learned marked, then its tokens and media."""
    console = Console()
    has_colours = console.color_system is not None
    console.print(painted(runs, has_colours=has_colours), soft_wrap=True)
    counts = _counts(runs)
    learned = "in green" if has_colours else f"in {' '.join(MARKS)}"
    typer.echo(
        f"{counts['all']} tokens: {counts['learned']} learned ({learned}), {counts['visual']} visual, "
        f"{counts['read']} others"
    )
    for item in prepared.items:
        typer.echo(_item_line(item))


def _item_line(item: "VisualItem") -> str:
    height, width = item.original_size
    times_s = [time_s for time_s in item.times_s if time_s is not None]
    span = f", {times_s[0]:.1f} to {times_s[-1]:.1f} s" if times_s else ""
    kept = f"{sum(item.tokens_per_frame)} of {item.num_tokens} tokens kept"
    return f"{item.kind} {item.name}: {len(item.times_s)} of {height} x {width}{span}, {kept}"
