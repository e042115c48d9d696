"""Where media comes from: a path, bytes, an open file, or an http(s) URL; and what to call it in an error.

A URL is downloaded to a temporary file first, within bounds of time and size. Reading frames by seeking over
a network would be slower than one download, and a server that stops answering must not stop the program.
"""

import contextlib
import io
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, BinaryIO

from kinema.errors import MediaError

Source = str | PathLike[str] | bytes | BinaryIO
"""A path, an http(s) URL, the bytes of a file, or an open binary file."""

_ANSWER_TIMEOUT_S = 20.0
"""Longest silence of a server."""
_DOWNLOAD_TIMEOUT_S = 600.0
"""Longest download as a whole, however steadily it drips."""
_MAX_DOWNLOAD_BYTES = 8 << 30
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class OpenSource:
    """A source that can be read and sought in."""

    name: str
    """What an error calls it."""
    file: Path | BinaryIO | IO[bytes]
    size_bytes: int

    def reader(self) -> "str | FileView":
        """What FFmpeg can open, any number of times at once."""
        return f"file:{self.file}" if isinstance(self.file, Path) else FileView(self.file, self.size_bytes)


class FileView:
    """A file object seen with a position of its own, so that two readers of it do not disturb each other."""

    def __init__(self, file: BinaryIO | IO[bytes], size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes from this view's position on."""
        self._file.seek(self._position)
        data = self._file.read(size)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move this view's position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size_bytes}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """This view's position."""
        return self._position


@contextlib.contextmanager
def opened(source: Source) -> Iterator[OpenSource]:
    """Make a source readable, and clean up after it; a file object of the caller stays open.

    Raises:
        MediaError: if there is no such file, it is empty or not a plain file, or a download fails.
    """
    if isinstance(source, bytes):
        yield _checked(OpenSource(f"<{len(source)} bytes>", io.BytesIO(source), len(source)))
    elif isinstance(source, str) and source.startswith(("http://", "https://")):
        with _downloaded(source) as file:
            yield _checked(OpenSource(source, file, file.seek(0, os.SEEK_END)))
    elif isinstance(source, str | PathLike):
        yield _checked(_local_file(Path(source)))
    else:
        yield _checked(_file_object(source))


def _checked(source: OpenSource) -> OpenSource:
    if source.size_bytes == 0:
        raise MediaError(f"{source.name}: the file is empty; copy or download it again.")
    return source


def _local_file(path: Path) -> OpenSource:
    if not path.exists():
        raise MediaError(f"{path}: there is no such file.")
    if not path.is_file():
        raise MediaError(f"{path}: this is not a plain file; pass a media file.")
    return OpenSource(str(path), path, path.stat().st_size)


def _file_object(file: BinaryIO) -> OpenSource:
    name = str(getattr(file, "name", "<file object>"))
    if not file.seekable():
        file = io.BytesIO(file.read())
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    return OpenSource(name, file, size_bytes)


@contextlib.contextmanager
def _downloaded(url: str) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile(prefix="kinema-") as file:
        try:
            _copy_within_bounds(url, file)
        except (OSError, urllib.error.URLError, ValueError) as error:
            raise MediaError(
                f"{url}: cannot be downloaded: {error}. Check the address, or try again."
            ) from error
        yield file


def _copy_within_bounds(url: str, file: IO[bytes]) -> None:
    deadline = time.monotonic() + _DOWNLOAD_TIMEOUT_S
    with urllib.request.urlopen(url, timeout=_ANSWER_TIMEOUT_S) as response:
        while chunk := response.read1(_CHUNK_BYTES):
            file.write(chunk)
            if time.monotonic() > deadline:
                raise MediaError(
                    f"{url}: the download took over {_DOWNLOAD_TIMEOUT_S:.0f} s; fetch it first."
                )
            if file.tell() > _MAX_DOWNLOAD_BYTES:
                raise MediaError(
                    f"{url}: is above {_MAX_DOWNLOAD_BYTES >> 30} GiB; download it to a file first."
                )
    stated = response.headers.get("Content-Length")
    if stated is not None and int(stated) != file.tell():
        raise MediaError(f"{url}: the download broke off after {file.tell()} of {stated} bytes; try again.")
