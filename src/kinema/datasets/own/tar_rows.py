"""Rows of a tar as WebDataset has them: files of one name are a row, and their endings say what each is.

    dog.jpg   dog.json
    cat.mp4   cat.txt

``.json`` holds the fields of a row; ``.txt`` is a caption, ``.cls`` a class; others are media. A file that
the fields name is put in the place of its name, as bytes; else they are the row's ``image``, ``video`` and
``audio``. The archive is walked through once, and then read at any place.
"""

import json
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.fault import Fault, RowError
from kinema.datasets.own.place import Place, open_bytes
from kinema.datasets.own.written import written
from kinema.datasets.records import Record
from kinema.errors import DataError
from kinema.media.kind import is_image, is_sound

_TEXTS = ("txt", "cls")
_VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".mpg", ".mpeg", ".ts", ".ogv")
"""Of images and sounds it is how they begin that counts."""


class _Member(NamedTuple):
    """One file in the archive."""

    name: str
    start: int
    size_bytes: int

    @property
    def ending(self) -> str:
        """What comes after the first point of the name, as WebDataset has it."""
        return PurePosixPath(self.name).name.partition(".")[2].lower()


class TarRows:
    """Rows in the order in which their first files come. No file is held open.

    Raises:
        DataError: if there is no such file, or it is no tar, or a compressed one.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        rows: dict[str, list[_Member]] = {}
        for member in _members(place):
            path = PurePosixPath(member.name)
            key = str(path.with_name(path.name.partition(".")[0] or path.name))
            rows.setdefault(key, []).append(member)
        self._rows = [tuple(members) for members in rows.values()]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Record:
        """See ``Rows``."""
        with open_bytes(self._place) as file:
            found = {member: _read(file, member) for member in self._rows[index]}
        try:
            data = _fields(found)
        except ValueError as error:  # of JSON, or of UTF-8
            where = f"{self._place}, record {index} ({self._rows[index][0].name})"
            raise RowError(where, f"it is not JSON: {error}.", Fault.BROKEN) from error
        return Record(data=data, file=str(self._place), index=index)

    def write(self, indices: NDArray[np.int64], place: Place) -> None:
        """See ``Rows``."""
        with (
            open_bytes(self._place) as source,
            written(place) as target,
            tarfile.open(fileobj=target, mode="w") as archive,
        ):
            for member in (member for index in indices.tolist() for member in self._rows[index]):
                entry = tarfile.TarInfo(member.name)
                entry.size = member.size_bytes
                source.seek(member.start)
                archive.addfile(entry, source)
                archive.members.clear()  # type: ignore[attr-defined]  # it would grow with the archive


def _members(place: Place) -> list[_Member]:
    found = []
    with open_bytes(place) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for entry in archive:
                    if entry.isfile() and not PurePosixPath(entry.name).name.startswith("."):
                        found.append(_Member(entry.name, entry.offset_data, entry.size))
                    archive.members.clear()  # type: ignore[attr-defined]  # it would hold a second index
        except tarfile.TarError as error:
            raise DataError(
                f"{place}: it is no tar: {error}. Unpack compressed ones, whose files have no place."
            ) from error
    return found


def _read(file: IO[bytes], member: _Member) -> bytes:
    file.seek(member.start)
    return file.read(member.size_bytes)


def _fields(found: Mapping[_Member, bytes]) -> Any:
    """The fields of a row, with what it shows in place."""
    fields: dict[str, Any] = {}
    media: dict[str, bytes] = {}
    for member, content in found.items():
        if member.ending == "json":
            said = json.loads(content)
            fields |= said if isinstance(said, Mapping) else {"messages": said}
        elif member.ending in _TEXTS:
            fields[member.ending] = content.decode("utf-8").strip()
        else:
            media[PurePosixPath(member.name).name] = content
    named: set[str] = set()
    placed = {name: _placed(value, media, named) for name, value in fields.items()}
    listed = _listed({name: content for name, content in media.items() if name not in named})
    if named:
        return listed | placed
    plurals = {f"{kind}s" for kind in listed}
    return {name: value for name, value in placed.items() if name not in plurals} | listed


def _placed(value: Any, media: Mapping[str, bytes], named: set[str]) -> Any:
    """A value with files in place of their names; which ones, is noted."""
    if isinstance(value, str):
        name = PurePosixPath(value).name if len(value) < 256 else ""
        if name in media:
            named.add(name)
            return media[name]
        return value
    if isinstance(value, list):
        return [_placed(item, media, named) for item in value]
    if isinstance(value, Mapping):
        return {name: _placed(item, media, named) for name, item in value.items()}
    return value


def _listed(media: Mapping[str, bytes]) -> dict[str, list[bytes]]:
    lists: dict[str, list[bytes]] = {}
    for name, content in media.items():
        if is_image(content):
            lists.setdefault("image", []).append(content)
        elif is_sound(content):
            lists.setdefault("audio", []).append(content)
        elif PurePosixPath(name).suffix.lower() in _VIDEO_ENDINGS:
            lists.setdefault("video", []).append(content)
    return lists
