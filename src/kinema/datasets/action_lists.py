"""Lists of videos and their classes, one a line, as action recognition and InternVideo2's stage 1 have them.

    videos/jump.mp4 17                          path, class                         Kinetics, MiT, ActivityNet
    videos/jump.mp4,17                          the same with another separator     Kinetics-710
    frames/20218 48 17                          folder, number of frames, class     Something-Something, HMDB
    videos/jump.mp4 31.5 4.0 9.5 17             path, length, start, end, class     parts of ActivityNet, HACS
    ssv2 videos/20218.mp4 -1 -1 -1 17           collection before that              stage 1

Times are seconds, and -1 where all of the video is meant. The forms are those of OpenGVLab/InternVideo
(``single_modality/datasets``), which puts a random other line in place of one that cannot be read; here it is
an error with file and line.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from kinema.datasets.joined import Joined
from kinema.errors import ConfigError, DataError
from kinema.processors.messages import Conversation, Message, Part, TextPart, VideoPart

Column = Literal["collection", "path", "num_frames", "length_s", "start_s", "end_s", "label"]

VIDEOS: tuple[Column, ...] = ("path", "label")
FRAMES: tuple[Column, ...] = ("path", "num_frames", "label")
INTERVALS: tuple[Column, ...] = ("path", "length_s", "start_s", "end_s", "label")
COLLECTIONS: tuple[Column, ...] = ("collection", *INTERVALS)


_BY_WIDTH = {len(columns): columns for columns in (VIDEOS, FRAMES, INTERVALS, COLLECTIONS)}
_SEPARATORS = (" ", ",", "\t")


@dataclass(frozen=True, kw_only=True)
class ActionList:
    """A finite data set; sample i is line i of the file, empty lines not counted."""

    file: Path
    media_dir: Path
    """Folder that the paths of the list start from."""
    columns: tuple[Column, ...] = VIDEOS
    separator: str = " "
    frame_name: str = "img_{:05}.jpg"
    """What frame i of a folder is called, from 1; ``{:05}.jpg`` in Something-Something V1."""
    num_classes: int | None = None
    """A label from there on is an error; None allows any."""

    def __post_init__(self) -> None:
        if not {"path", "label"} <= set(self.columns):
            raise ConfigError(f"columns must have a path and a label, got {self.columns}.")
        if len(self.separator) != 1:
            raise ConfigError(f"separator must be one character, got {self.separator!r}.")

    def __len__(self) -> int:
        return len(self._rows)

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """The clip of a line, the collection where the list has it, and the class as the answer."""
        row = self._rows[index]
        shown: tuple[Part, ...] = (self._clip(row),)
        if row.collection is not None:
            shown = (TextPart(text=row.collection), *shown)
        answer = Message(role="assistant", parts=(TextPart(text=str(row.label)),))
        return Conversation(messages=(Message(role="user", parts=shown), answer))

    def _clip(self, row: "_Row") -> VideoPart:
        path = self.media_dir / row.path
        if row.num_frames is None:
            return VideoPart(source=path, start_s=row.start_s, end_s=row.end_s)
        numbers = range(1, row.num_frames + 1)
        return VideoPart(source=[str(path / self.frame_name.format(number)) for number in numbers])

    @cached_property
    def _rows(self) -> list["_Row"]:
        rows = list(self._read())
        if not rows:
            raise DataError(f"{self.file}: there is no line in it.")
        return rows

    def _read(self) -> Iterator["_Row"]:
        with self.file.open(encoding="utf-8", newline="") as lines:
            reader = csv.reader(lines, delimiter=self.separator)
            for cells in reader:
                if not cells:
                    continue
                where = f"{self.file}, line {reader.line_num}"
                if len(cells) != len(self.columns):
                    raise DataError(
                        f"{where}: it has {len(cells)} columns, expected {', '.join(self.columns)} between "
                        f"{self.separator!r}."
                    )
                row = _row(dict(zip(self.columns, cells, strict=True)), where)
                if self.num_classes is not None and row.label >= self.num_classes:
                    raise DataError(
                        f"{where}: label {row.label} is none of the classes 0 to {self.num_classes - 1}."
                    )
                yield row


def open_lists(files: Sequence[str], *, media_dir: str | None = None) -> Joined:
    """Lists end to end, each in the form that its first line has.

    Args:
        files: text, one video a line.
        media_dir: folder that their paths start from; None is that of each file.

    Raises:
        DataError: if a file cannot be read, has no line, or has none of the forms.
    """
    lists = [_open_list(Path(file), None if media_dir is None else Path(media_dir)) for file in files]
    return Joined(parts=tuple((each, len(each)) for each in lists))


def _open_list(file: Path, media_dir: Path | None) -> ActionList:
    try:
        with file.open(encoding="utf-8") as lines:
            first = next((line.strip() for line in lines if line.strip()), "")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: it cannot be read as text: {error}.") from error
    for separator in _SEPARATORS:
        cells = next(csv.reader([first], delimiter=separator), [])
        if len(cells) in _BY_WIDTH and cells[-1].lstrip("-").isdecimal():
            columns = _BY_WIDTH[len(cells)]
            home = file.parent if media_dir is None else media_dir
            return ActionList(file=file, media_dir=home, columns=columns, separator=separator)
    forms = "; ".join(", ".join(columns) for columns in _BY_WIDTH.values())
    raise DataError(
        f"{file}: its first line is {first[:80]!r}, expected columns between spaces, commas or tabs: {forms}."
    )


class _Row(NamedTuple):
    path: str
    label: int
    collection: str | None
    num_frames: int | None
    start_s: float | None
    end_s: float | None


def _row(cells: Mapping[Column, str], where: str) -> _Row:
    num_frames = None
    if "num_frames" in cells:
        num_frames = _whole(cells["num_frames"], where, "number of frames")
    if not cells["path"] or num_frames == 0:
        raise DataError(f"{where}: it names no file, or a folder of 0 frames.")
    length_s, start_s, end_s = (_seconds(cells.get(name), where) for name in ("length_s", "start_s", "end_s"))
    if length_s is None or start_s is None or end_s is None:
        start_s = end_s = None
    elif end_s <= start_s:
        raise DataError(f"{where}: it ends at {end_s} s and starts at {start_s} s.")
    return _Row(
        path=cells["path"],
        label=_whole(cells["label"], where, "label"),
        collection=cells.get("collection"),
        num_frames=num_frames,
        start_s=start_s,
        end_s=end_s,
    )


def _whole(cell: str, where: str, what: str) -> int:
    if not cell.isdecimal():
        raise DataError(f"{where}: the {what} must be a whole number from 0, got {cell!r}.")
    return int(cell)


def _seconds(cell: str | None, where: str) -> float | None:
    """None where the list has no such column, or -1 in it."""
    if cell is None:
        return None
    try:
        time_s = float(cell)
    except ValueError as error:
        raise DataError(f"{where}: {cell!r} is no time in seconds.") from error
    if time_s == -1:
        return None
    if not math.isfinite(time_s) or time_s < 0:
        raise DataError(f"{where}: a time is from 0, or -1 for all of the video, got {cell}.")
    return time_s
