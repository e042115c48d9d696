"""Where files of records lie: on this machine, or behind a URL that fsspec knows, such as ``s3://`` or ``hf://``.

Media behind ``http(s)://`` are left to ``media``, which downloads them; others are opened by fsspec.
"""

import os
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

import fsspec

from kinema.errors import DataError, MediaError
from kinema.processors.messages import Source

Place = str | Path
"""A path, or a URL as text: a ``Path`` would lose one of its two slashes."""


def is_remote(place: Place) -> bool:
    """Whether it is a URL, but for ``file://``."""
    return "://" in str(place) and not str(place).startswith("file://")


def local_path(place: Place) -> Path:
    """A path of this machine, of a path or a ``file://`` URL."""
    text = str(place)
    return Path(unquote(urlsplit(text).path)) if text.startswith("file://") else Path(place)


def local_copy(place: Place) -> Path:
    """The file itself where it is local, else a copy that fsspec keeps until the program ends.

    Raises:
        DataError: if there is no such file, or fsspec cannot get it.
    """
    if not is_remote(place):
        return _existing(local_path(place))
    try:
        return Path(cast(str, fsspec.open_local(f"simplecache::{place}")))
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{place}: it cannot be read: {error}.") from error


def open_bytes(place: Place) -> BinaryIO:
    """A file to read and seek in; of a remote one only what is read is transferred.

    Raises:
        DataError: if there is no such file, or fsspec cannot open it.
    """
    if not is_remote(place):
        return _existing(local_path(place)).open("rb")
    try:
        return cast(BinaryIO, fsspec.open(str(place), "rb").open())
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{place}: it cannot be read: {error}.") from error


def folder_of(place: Place) -> Place:
    """The folder that a file lies in."""
    return str(place).rpartition("/")[0] if is_remote(place) else local_path(place).parent


def locate(source: Source, folder: Place) -> Source:
    """A medium as ``media`` can open it, its name taken from a folder on; bytes stay as they are.

    Raises:
        MediaError: if it is remote and cannot be opened.
    """
    if not isinstance(source, str | os.PathLike):
        return source
    name = os.fspath(source)
    if "://" not in name:
        if not is_remote(folder):
            return local_path(folder) / name
        name = f"{str(folder).rstrip('/')}/{name}"
    if name.startswith(("http://", "https://")):
        return name
    if not is_remote(name):
        return local_path(name)
    try:
        return cast(BinaryIO, fsspec.open(name, "rb").open())
    except (OSError, ValueError, ImportError) as error:
        raise MediaError(f"{name}: it cannot be opened: {error}.") from error


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    return path
