"""Where the rows of a text file begin and end, so that any of them is read without the others.

Finding them reads the file once, a block at a time; 16 bytes a row are kept.
"""

import csv
import json
from array import array
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from kinema.errors import DataError

_BLOCK = 1 << 20
"""Characters of a JSON list that are read together."""
_MARK = b"\xef\xbb\xbf"
"""What some editors put before UTF-8."""
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""What UTF-16 begins with."""
_BLANKS = " \t\r\n"


class Spans:
    """Pieces of a file by number. No file is held open, so that processes can share them."""

    def __init__(self, path: Path, starts: "array[int]", ends: "array[int]") -> None:
        self.path = path
        self._starts: NDArray[np.int64] = np.array(starts, np.int64)
        self._ends: NDArray[np.int64] = np.array(ends, np.int64)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> bytes:
        with self.path.open("rb") as file:
            return self._read(file, index)

    def chosen(self, indices: NDArray[np.int64]) -> Iterator[bytes]:
        """Some of the pieces, from a file that is opened once."""
        with self.path.open("rb") as file:
            for index in indices.tolist():
                yield self._read(file, index)

    def _read(self, file: IO[bytes], index: int) -> bytes:
        file.seek(self._starts[index])
        return file.read(self._ends[index] - self._starts[index])


def spans_of_lines(path: Path) -> Spans:
    """The lines that are not empty.

    Raises:
        DataError: if they are UTF-16, in which ends of lines are other bytes.
    """
    starts, ends = array("q"), array("q")
    place = 0
    _expect_utf8(path)
    with path.open("rb") as file:
        for line in file:
            if line.strip() and line.strip() != _MARK:
                starts.append(place + len(_MARK) * line.startswith(_MARK))
                ends.append(place + len(line.rstrip(b"\r\n")))
            place += len(line)
    return Spans(path, starts, ends)


def spans_of_cells(path: Path, separator: str) -> Spans:
    """The rows of a table, the first with its columns; a quoted cell may hold line breaks.

    Raises:
        DataError: if the table cannot be taken apart, naming the line.
    """
    starts, ends = array("q"), array("q")
    _expect_utf8(path)
    with path.open("rb") as file:
        place = len(_MARK) if file.read(len(_MARK)) == _MARK else 0
        file.seek(place)
        lines = _Counted(file, place)
        reader = csv.reader(lines, delimiter=separator)
        try:
            for cells in reader:
                if cells:
                    starts.append(place)
                    ends.append(lines.place)
                place = lines.place
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: it is no row of a table: {error}.") from error
    return Spans(path, starts, ends)


class _Counted:
    """Lines as text, and the place in the file behind the last. Damage is left for who reads the row."""

    def __init__(self, file: IO[bytes], place: int) -> None:
        self._file, self.place = file, place

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.place += len(line)
            yield line.decode("utf-8", "replace")


def spans_of_elements(path: Path) -> Spans:
    """The elements of a JSON list.

    Raises:
        DataError: if there is no such list in the file, or it is broken, naming the element.
    """
    starts, ends = array("q"), array("q")
    _expect_utf8(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            for start, end in _Elements(path, file):
                starts.append(start)
                ends.append(end)
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, after record {len(starts) - 1}: it is not UTF-8: {error}.") from error
    return Spans(path, starts, ends)


def _expect_utf8(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(2) in _WIDE_MARKS:
            raise DataError(f"{path}: it is UTF-16; save it as UTF-8.")


class _Elements:
    """Walks through a JSON list with a part of it in memory, and yields (start, end) of each element."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self._path, self._file = path, file
        self._text = ""
        self._at = 0
        """Where the walk stands in the text."""
        with path.open("rb") as start:
            self._place = len(_MARK) if start.read(len(_MARK)) == _MARK else 0
        """Where the walk stands in the file, in bytes."""
        self._decoder = json.JSONDecoder()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        if self._next_character() != "[":
            raise DataError(f"{self._path}: a .json file of records holds a list, [...].")
        self._advance(self._at + 1)
        if self._next_character() == "]":
            self._expect_end()
            return
        for index in count():
            end = self._end_of_element(index)
            start = self._place
            self._advance(end)
            yield start, self._place
            is_last = self._next_character() == "]"
            if is_last:
                self._expect_end()
                return
            self._advance(self._at + 1)
            self._next_character()

    def _expect_end(self) -> None:
        """Records behind the list would be lost without a word."""
        self._advance(self._at + 1)
        if self._next_character():
            raise DataError(f"{self._path}: something follows the end of its list; make it one list.")

    def _next_character(self) -> str:
        """Go to the next one that is no blank; empty at the end."""
        while True:
            self._advance(self._behind_blanks(self._at))
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def _behind_blanks(self, at: int) -> int:
        while at < len(self._text) and self._text[at] in _BLANKS:
            at += 1
        return at

    def _end_of_element(self, index: int) -> int:
        """What follows it must be there too, or a number could be half of one."""
        while True:
            complaint = "neither a comma nor the end of the list follows it"
            try:
                _, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                complaint = f"it is not JSON: {error.msg}"
            except RecursionError as error:
                raise DataError(f"{self._path}, record {index}: it is nested too deeply.") from error
            else:
                mark = self._behind_blanks(end)
                if self._text[mark : mark + 1] in (",", "]"):
                    return end
            if not self._read_on():
                raise DataError(f"{self._path}, record {index}: {complaint}.")

    def _advance(self, end: int) -> None:
        self._place += len(self._text[self._at : end].encode())
        self._at = end

    def _read_on(self) -> bool:
        """Forget what is behind, and read at least as much as there is; False at the end of the file."""
        more = self._file.read(max(_BLOCK, len(self._text)))
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)
