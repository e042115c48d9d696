"""Files of one's own as a finite source of samples."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import PurePosixPath
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.own.forms import FormName, Reading, read_row
from kinema.datasets.own.place import Place, folder_of, is_remote, locate
from kinema.datasets.own.rows import Rows, open_rows
from kinema.datasets.records import Record
from kinema.errors import ConfigError, DataError
from kinema.processors.messages import (
    AudioPart,
    Conversation,
    ImagePart,
    Part,
    TextPart,
    VideoFrame,
    VideoPart,
)


@dataclass(frozen=True, kw_only=True)
class OwnRecords:
    """A data set; sample i is row i of the files put end to end, and then all of them again."""

    files: tuple[Place, ...]
    """Files that ``rows.open_rows`` knows; looked through when the first row is asked for."""
    media_dir: Place | None = None
    """Folder or URL that the paths in rows start from; None is the folder of each file."""
    format: FormName | None = None
    """The form of all rows; None finds that of each."""
    prompt: str | None = None
    """What captions are the answers to; None says "Describe the video." and the like, "" nothing."""

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in get_args(FormName):
            raise ConfigError(
                f"format must be one of {', '.join(get_args(FormName))}, or None to find it; got "
                f"{self.format!r}."
            )

    def __len__(self) -> int:
        return self._ends[-1]

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """A row as a conversation, its media where they can be opened.

        Raises:
            DataError: if it is malformed, naming file and number.
            MediaError: if it is a stream, or remote, and its file cannot be opened; other files are opened by
                the processor.
        """
        return located(self.conversation(index), self.reading(index).media_dir)

    def record(self, index: int) -> Record:
        """A row as it stands in its file.

        Raises:
            DataError: if it is broken.
        """
        file, row = self._place(index)
        return self._rows[file][row]

    def conversation(self, index: int) -> Conversation:
        """A row as a conversation, its media as the row names them, but for the frames of streams."""
        return read_row(self.record(index), self.format, self.reading(index))

    def reading(self, index: int) -> Reading:
        """How a row is read."""
        file, _ = self._place(index)
        folder = folder_of(self.files[file]) if self.media_dir is None else self.media_dir
        return Reading(media_dir=folder, prompt=self.prompt)

    def write(self, indices: NDArray[np.int64], place: Place) -> None:
        """Write some rows, in that order, to a new file of the same kind.

        Raises:
            ConfigError: if this is more than one file, or the new one has another ending.
        """
        self.expect_target(place)
        self._rows[0].write(indices, place)

    def expect_target(self, place: Place) -> None:
        """Raise ``ConfigError`` where ``write`` could not write to a file."""
        suffixes = {PurePosixPath(str(file)).suffix for file in (*self.files, place)}
        if len(self.files) != 1 or len(suffixes) != 1 or is_remote(place):
            raise ConfigError(
                f"{place}: rows go from one file to one of the same ending on this machine; these are of "
                f"{', '.join(map(str, self.files))}."
            )

    def modality_lengths(self) -> tuple[int, ...]:
        """Words of each row, a medium counts as one; negative where it is text alone.

        As ``modality_lengths`` of LLaVA's trainer counts, see ``training.order.ByModalityLength``.

        Raises:
            DataError: if a row is malformed, or nothing is said in it.
        """
        return tuple(self._modality_length(index) for index in range(len(self)))

    def _modality_length(self, index: int) -> int:
        parts = [part for message in self.conversation(index).messages for part in message.parts]
        words = sum(len(part.text.split()) for part in parts if isinstance(part, TextPart))
        media = sum(not isinstance(part, TextPart) for part in parts)
        if words + media == 0:
            raise self.record(index).error("nothing is said in it.")
        return words + media if media else -words

    def _place(self, index: int) -> tuple[int, int]:
        """Which file, and which row of it."""
        index %= len(self)
        file = bisect_right(self._ends, index)
        return file, index - (self._ends[file - 1] if file else 0)

    @cached_property
    def _rows(self) -> Sequence[Rows]:
        return [open_rows(file) for file in self.files]

    @cached_property
    def _ends(self) -> Sequence[int]:
        ends = list(accumulate(map(len, self._rows)))
        if not ends or not ends[-1]:
            raise DataError(f"there is no record in {', '.join(map(str, self.files)) or 'no file'}.")
        return ends


def open_records(
    path: Place | Sequence[Place],
    *,
    media_dir: Place | None = None,
    format: FormName | None = None,
    prompt: str | None = None,
) -> OwnRecords:
    """Open files of training data, whatever their form.

    Args:
        path: one file or several, here or behind a URL that fsspec knows: ``.json``, ``.jsonl``, ``.csv``,
            ``.tsv``, ``.parquet`` or ``.tar``.
        media_dir: where the paths in rows start from; None is the folder of each file.
        format: the form of all rows; None finds that of each by its fields.
        prompt: what captions are the answers to; None for "Describe the video." and the like.

    Raises:
        ConfigError: if there is no such format, or a file's ending says nothing.
        DataError: if a file is not there, is broken or holds no rows, or its first row has no known form.
    """
    files = (path,) if isinstance(path, Place) else tuple(path)
    records = OwnRecords(files=files, media_dir=media_dir, format=format, prompt=prompt)
    records.conversation(0)
    return records


def located(conversation: Conversation, folder: Place) -> Conversation:
    """The same with its media, which a row names, where they can be opened.

    Raises:
        MediaError: if one is remote and cannot be opened.
    """
    messages = [
        replace(message, parts=tuple(_located(part, folder) for part in message.parts))
        for message in conversation.messages
    ]
    return Conversation(messages=tuple(messages))


def _located(part: Part, folder: Place) -> Part:
    if isinstance(part, ImagePart) and isinstance(part.source, VideoFrame):
        return part
    if isinstance(part, VideoPart) and isinstance(part.source, list | tuple):
        return replace(part, source=[str(locate(name, folder)) for name in part.source])
    if isinstance(part, ImagePart | VideoPart | AudioPart):
        return replace(part, source=locate(part.source, folder))  # type: ignore[arg-type]
    return part
