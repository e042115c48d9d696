"""What the commands on own data share: the files, and the processor of a model without its weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinema.cli.loading import shown
from kinema.errors import InputError

if TYPE_CHECKING:
    from kinema.datasets.own import OwnRecords
    from kinema.models.loaded import Loaded

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="A .json, .jsonl, .csv, .tsv, .parquet or .tar: a path, or a URL of fsspec."
    ),
]


def _option(*names: str, help: str, panel: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **settings)


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """How rows are read."""

    media: Annotated[
        str | None,
        _option(
            "--media", metavar="DIR", help="Where paths in rows start; default beside FILE.", panel="Rows"
        ),
    ] = None
    format: Annotated[
        str | None,
        _option(
            "--format",
            help="llava, sharegpt, openai, huggingface, videollama3 or captions; default what each row is.",
            panel="Rows",
        ),
    ] = None
    prompt: Annotated[
        str | None,
        _option("--prompt", metavar="TEXT", help="What captions are the answers to.", panel="Rows"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ProcessorOptions:
    """Whose processor reads samples; no weights are loaded."""

    model: Annotated[
        str | None, _option("--model", "-m", help="nano, a hub id or a folder.", panel="Model")
    ] = None
    revision: Annotated[
        str | None, _option("--revision", help="Branch, tag or commit on the hub.", panel="Model")
    ] = None
    offline: Annotated[
        bool, _option("--offline", help="Use what the hub's cache holds; download nothing.", panel="Model")
    ] = False


def own_records(file: str, rows: RowOptions) -> "OwnRecords":
    """The rows of a file, broken ones among them.

    Raises:
        ConfigError: if there is no such format.
        DataError: if there is no such file, or no row in it.
    """
    from kinema.datasets.own import OwnRecords

    records = OwnRecords(files=(file,), media_dir=rows.media, format=rows.format, prompt=rows.prompt)  # type: ignore[arg-type]
    len(records)
    return records


def load_processor(name: str, place: ProcessorOptions) -> "Loaded[Any, Any]":
    """A model with shapes only, and its processor.

    Raises:
        InputError: if it embeds, and learns from no talk.
        WeightsError: if there is no such checkpoint.
    """
    import torch

    from kinema.hub.download import SETTINGS_FILES
    from kinema.models.registry import find_checkpoint, load_outline

    with shown(f"looking at {name}", name, offline=place.offline):
        folder = find_checkpoint(name, revision=place.revision, offline=place.offline, files=SETTINGS_FILES)
        outline = load_outline(folder, dtype=torch.float32)
    if outline.generation is None:
        raise InputError(f"{name} embeds and writes no text; take a model that can be asked.")
    return outline
