"""``kinema embed``: files and texts to vectors, and how near they are to each other."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinema.cli.command import OutputOptions, add_command
from kinema.cli.console import counter, note, print_json
from kinema.cli.loading import check_media, load_embedding
from kinema.cli.options import PlaceOptions
from kinema.errors import ConfigError, MediaError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinema.inference.embedding import EmbeddingModel

    Rows = dict[str, NDArray[np.float32]]
    """``media`` and ``text``, (B, P) each; one of them may be absent."""

_FORMATS = (".npz", ".safetensors")
_COLUMN = 24
"""Most characters of a text at the head of its column."""


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this file to an application."""
    add_command(app, embed)


def embed(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model that embeds: hub id, folder, file.")],
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILES", help="What the model embeds, such as videos.")
    ] = None,
    *,
    text: Annotated[
        list[str] | None, typer.Option("--text", metavar="TEXT", help="Embed this too; can be repeated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write vectors as .npz or .safetensors.")
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option(
            help="What the files are, such as video, audio, or audio_video for a clip with its sound; needed "
            "where a model embeds several."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Files held in memory at a time.")] = 8,
    place: PlaceOptions,
    output: OutputOptions,
) -> None:
    """Turn files and texts into vectors; given both, print how near they are.

    A file that cannot be read is named and left out; the exit code is 3 then.
    """
    names, texts = files or [], text or []
    _check_request(names, texts, out, is_json=output.json)
    check_media(names)
    engine = load_embedding(model, place)
    rows: Rows = {}
    errors: dict[int, str] = {}
    if names:
        rows["media"], errors = _embed_files(engine, names, modality, batch_size)
    if texts:
        rows["text"] = engine.embed_text(texts)
    left_out = [{"name": names[number], "error": error} for number, error in sorted(errors.items())]
    names = [name for number, name in enumerate(names) if number not in errors]
    if out is not None:
        _write(out, rows, names, texts)
    if output.json:
        kinds = engine.modalities
        kind = modality or (kinds[0] if len(kinds) == 1 else None)
        document = {"model": model, "modality": kind, **_document(rows, names, texts)}
        print_json(document | ({"left_out": left_out} if left_out else {}))
    elif names and texts:
        _print_table(rows["media"] @ rows["text"].T, names, texts)
    if out is not None:
        note(f"{len(names) + len(texts)} vectors written to {out}")
    if left_out:
        total = len(names) + len(left_out)
        raise MediaError(f"{len(left_out)} of {total} files could not be embedded; see the warnings above.")


def _embed_files(
    engine: "EmbeddingModel", names: list[str], modality: str | None, batch_size: int
) -> "tuple[NDArray[np.float32], dict[int, str]]":
    """Vectors of the files that can be read, and of the others by number why not, each said as it is met."""
    errors: dict[int, str] = {}

    def leave_out(number: int, error: Exception) -> None:
        errors[number] = " ".join(str(error).split())
        name = "" if names[number] in errors[number] else f"{names[number]}: "
        note(f"warning: {name}{errors[number]}")

    with counter("embedding") as progress:
        vectors = engine.embed(names, modality, batch_size=batch_size, progress=progress, left_out=leave_out)
    return vectors, errors


def _check_request(names: list[str], texts: list[str], out: Path | None, *, is_json: bool) -> None:
    """Raise ``ConfigError`` for what would come to nothing: a large model takes long to load."""
    if not names and not texts:
        raise ConfigError("there is nothing to embed; name files, or pass --text.")
    if out is not None and out.suffix not in _FORMATS:
        raise ConfigError(f"{out}: vectors are written as {' or '.join(_FORMATS)}; name such a file.")
    if out is None and not is_json and not (names and texts):
        raise ConfigError("pass --out or --json to keep the vectors, or files and --text to compare them.")


def _write(out: Path, rows: "Rows", names: list[str], texts: list[str]) -> None:
    """Vectors with what they are of: as arrays of strings, or as JSON in the header of safetensors."""
    import numpy as np
    from safetensors.numpy import save_file

    if out.suffix == ".npz":
        labels = {"media_names": np.array(names, np.str_), "texts": np.array(texts, np.str_)}
        np.savez(out, **rows, **labels)  # type: ignore[arg-type]
    else:
        save_file(dict(rows), out, metadata={"media_names": json.dumps(names), "texts": json.dumps(texts)})


def _document(rows: "Rows", names: list[str], texts: list[str]) -> dict[str, object]:
    document: dict[str, object] = {}
    if names:
        vectors = rows["media"].tolist()
        document["media"] = [
            {"name": name, "vector": vector} for name, vector in zip(names, vectors, strict=True)
        ]
    if texts:
        vectors = rows["text"].tolist()
        document["texts"] = [
            {"text": text, "vector": vector} for text, vector in zip(texts, vectors, strict=True)
        ]
    if names and texts:
        document["cosines"] = (rows["media"] @ rows["text"].T).tolist()
    return document


def _print_table(cosines: "NDArray[np.float32]", names: list[str], texts: list[str]) -> None:
    """Cosines, a row a file and a column a text."""
    heads = [text if len(text) <= _COLUMN else f"{text[: _COLUMN - 1]}…" for text in texts]
    widths = [max(len(head), 6) for head in heads]
    first = max(len(name) for name in names)
    head_cells = [f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)]
    typer.echo("  ".join([" " * first, *head_cells]))
    for name, row in zip(names, cosines.tolist(), strict=True):
        cells = [f"{cosine:>{width}.3f}" for cosine, width in zip(row, widths, strict=True)]
        typer.echo("  ".join([f"{name:{first}}", *cells]))
