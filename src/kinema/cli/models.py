"""``kinema models`` and ``convert``: which checkpoints there are, and their layouts."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.command import OutputOptions, add_command
from kinema.cli.console import print_json
from kinema.cli.loading import shown
from kinema.cli.options import Dtype, Parts, parts_of


class LayoutName(StrEnum):
    """Whose files to write; the names of ``kinema.models.videollama3.keys.Layout``, which needs torch."""

    OFFICIAL = "official"
    TRAINER = "trainer"
    TRANSFORMERS = "transformers"


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this file to an application."""
    for function in (models, convert):
        add_command(app, function)


def models(*, output: OutputOptions) -> None:
    """List the models that are known to load, with their size and what they need."""
    from kinema.models.registry import named_models

    found = named_models()
    if output.json:
        print_json({"models": [{**asdict(model), "bf16_bytes": model.bf16_bytes} for model in found]})
        return
    width = max(len(model.name) for model in found)
    typer.echo(f"{'model':{width}}  {'weights':>12}  {'in bf16':>8}  what it is")
    for model in found:
        weights, size = f"{model.num_parameters / 1e6:,.1f} M", f"{model.bf16_bytes / 1e9:.2f} GB"
        part = "; a part, cannot be asked" if model.is_part else ""
        typer.echo(f"{model.name:{width}}  {weights:>12}  {size:>8}  {model.notes}{part}")
    typer.echo(_NEEDS)
    for licence in dict.fromkeys(model.licence for model in found):
        owners = dict.fromkeys(model.name.partition("/")[0] for model in found if model.licence == licence)
        typer.echo(f"  {', '.join(owners)}: {licence}")


_NEEDS = """
A model needs its weights (on a CPU in float32 twice the size in bf16) and room for frames and answers,
which 'kinema plan VIDEO --model MODEL' forecasts. Models that embed answer no questions: they are for
'kinema embed'; of a model that needs parts, these are named with --part. All but nano are downloaded on first
use. Other folders, files and hub ids of the same families load too.

Licences:"""


def convert(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="nano, a folder, a file or a hub id, in any layout.")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="A new or empty folder.")],
    *,
    layout: Annotated[LayoutName, typer.Option(help="Whose files to write.")],
    dtype: Annotated[Dtype | None, typer.Option(help="Cast to this; default as it is.")] = None,
    part: Parts = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Download nothing.")] = False,
    output: OutputOptions,
) -> None:
    """Write a checkpoint in another layout or number format, or the files of one as a folder."""
    from kinema.inference.load import parse_dtype
    from kinema.models.registry import convert_model

    with shown(f"converting {source}", source, offline=offline):
        convert_model(
            source,
            target,
            layout=layout,
            dtype=None if dtype is None else parse_dtype(dtype),
            parts=parts_of(part),
            revision=revision,
            offline=offline,
        )
    files = {path.name: path.stat().st_size for path in sorted(target.iterdir())}
    if output.json:
        print_json({"source": source, "target": str(target), "layout": layout, "size_bytes": files})
        return
    for name, size_bytes in files.items():
        typer.echo(f"{size_bytes:>14,}  {target / name}")
