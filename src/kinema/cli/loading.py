"""From the options to a model: what can be checked before, loading it, and what it is at afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from kinema.cli.console import STDERR, note, spinner
from kinema.cli.options import NANO, PlaceOptions, parts_of
from kinema.errors import ConfigError, InputError, MediaError

if TYPE_CHECKING:
    from kinema.inference.embedding import EmbeddingModel
    from kinema.inference.engine import VideoLanguageModel
    from kinema.processors.messages import AudioPart, ImagePart

    Named = str | AudioPart | ImagePart
    """A file that shows what it is, or one of which somebody said it."""


def load(name: str, place: PlaceOptions) -> "VideoLanguageModel":
    """Load a model that can be asked.

    Raises:
        InputError: if it embeds.
    """
    from kinema.inference.engine import VideoLanguageModel

    model = _load(name, place)
    if not isinstance(model, VideoLanguageModel):
        raise InputError(
            f"{name} embeds and writes no text; use 'kinema embed {name} ...', or another model."
        )
    return model


def load_embedding(name: str, place: PlaceOptions) -> "EmbeddingModel":
    """Load a model that embeds, with what was published apart from it.

    Raises:
        InputError: if it answers in text.
    """
    from kinema.inference.embedding import EmbeddingModel

    model = _load(name, place)
    if not isinstance(model, EmbeddingModel):
        raise InputError(
            f"{name} writes text and has no vectors; take a model that embeds, see 'kinema models'."
        )
    return model


def _load(name: str, place: PlaceOptions) -> "VideoLanguageModel | EmbeddingModel":
    import kinema

    parts = parts_of(place.part)

    with shown(f"loading {name}", name, offline=place.offline):
        return kinema.load(
            name,
            device=place.device,
            dtype=place.dtype,
            parts=parts,
            revision=place.revision,
            offline=place.offline,
        )


def check_media(names: Sequence[str]) -> None:
    """Raise ``MediaError`` if a file is not there: a large model takes long to load."""
    for name in names:
        if not name.startswith(("http://", "https://")) and not Path(name).exists():
            raise MediaError(f"{name}: there is no such file.")


def media_of(names: Sequence[str]) -> "list[Named]":
    """Files as a model is asked about them; ``audio:``, ``depth:`` or ``thermal:`` before one says its kind.

    Raises:
        MediaError: if a file is not there.
    """
    from kinema.processors.messages import AudioPart, ImagePart, PictureModality

    media: list[Named] = []
    for name in names:
        kind, _, file = name.partition(":")
        is_said = kind in ("audio", *get_args(PictureModality)) and not Path(name).exists()
        check_media([file if is_said else name])
        if not is_said:
            media.append(name)
        elif kind == "audio":
            media.append(AudioPart(source=file))
        else:
            media.append(ImagePart(source=file, modality=cast("PictureModality", kind)))
    return media


def check_folder(folder: Path | None) -> None:
    """Raise ``ConfigError`` if what shall be a folder of frames is there already, and holds something."""
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: is there already; name a new or an empty folder for the frames.")


@contextmanager
def shown(text: str, source: str, *, offline: bool) -> Iterator[None]:
    """Show that a checkpoint is being read; the hub's client shows bars of its own where it downloads."""
    if source == NANO or offline or Path(source).expanduser().exists():
        with spinner(lambda: text):
            yield
        return
    if STDERR.is_terminal:
        note(text)
    yield


def work_of(model: "VideoLanguageModel") -> str:
    """What a model is at just now, for a spinner."""
    usage = model.last_usage
    if "media" not in usage.seconds:
        return "reading media"
    if "vision" not in usage.seconds:
        frames = sum(item.grid_thw[0] for item in usage.items)
        return f"looking at {frames} frames, {usage.kept_tokens} tokens"
    if "prefill" not in usage.seconds:
        return f"reading a prompt of {usage.prompt_tokens} tokens"
    return f"writing, {usage.new_tokens} tokens so far"
