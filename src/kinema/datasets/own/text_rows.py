"""Rows of JSON and of tables of text, each read when it is asked for."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.fault import Fault, RowError
from kinema.datasets.own.place import Place, local_copy
from kinema.datasets.own.spans import Spans, spans_of_cells, spans_of_elements, spans_of_lines
from kinema.datasets.own.written import written
from kinema.datasets.records import Record
from kinema.errors import DataError


def open_lines(place: Place) -> "JsonRows":
    """Objects of JSON, one a line.

    Raises:
        DataError: if there is no such file, or it is not UTF-8.
    """
    return JsonRows(file=str(place), spans=spans_of_lines(local_copy(place)), is_list=False)


def open_json(place: Place) -> "JsonRows":
    """Elements of a JSON list; where the file begins with an object, one a line.

    Raises:
        DataError: if there is no such file, or it is broken.
    """
    path = local_copy(place)
    with path.open("rb") as file:
        beginning = next((line.strip() for line in file if line.strip()), b"")
    if beginning.startswith(b"{") and beginning.endswith(b"}"):
        return open_lines(place)
    return JsonRows(file=str(place), spans=spans_of_elements(path), is_list=True)


def open_cells(place: Place, separator: str) -> "TableRows":
    """Rows of a table of text, under the names of its columns.

    Raises:
        DataError: if there is no such file, or a column has no name of its own.
    """
    spans = spans_of_cells(local_copy(place), separator)
    if not len(spans):
        raise DataError(f"{place}: a table begins with the names of its columns; this file is empty.")
    columns = _cells(spans[0], separator, str(place))
    if len(set(columns)) < len(columns) or not all(columns):
        raise DataError(f"{place}: each column needs a name of its own in the first line, got {columns}.")
    return TableRows(file=str(place), spans=spans, separator=separator, columns=tuple(columns))


@dataclass(frozen=True, kw_only=True)
class JsonRows:
    """Objects of a ``.json`` list, or of a file with one a line."""

    file: str
    spans: Spans
    is_list: bool

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> Record:
        """See ``Rows``."""
        return Record(data=_parsed(self.spans[index], self.file, index), file=self.file, index=index)

    def write(self, indices: NDArray[np.int64], place: Place) -> None:
        """See ``Rows``; what is written is what stood there, character for character."""
        opening, between, closing = (b"[\n", b",\n", b"\n]\n") if self.is_list else (b"", b"\n", b"\n")
        _write(place, self.spans.chosen(indices), opening, between, closing)


@dataclass(frozen=True, kw_only=True)
class TableRows:
    """Rows of a ``.csv`` or ``.tsv``; cells are texts."""

    file: str
    spans: Spans
    separator: str
    columns: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.spans) - 1

    def __getitem__(self, index: int) -> Record:
        """See ``Rows``."""
        where = f"{self.file}, record {index}"
        cells = _cells(self.spans[index + 1], self.separator, where)
        if len(cells) != len(self.columns):
            complaint = f"it has {len(cells)} cells under {len(self.columns)} columns."
            raise RowError(where, complaint, Fault.BROKEN)
        data = dict(zip(self.columns, cells, strict=True))
        return Record(data=data, file=self.file, index=index)

    def write(self, indices: NDArray[np.int64], place: Place) -> None:
        """See ``Rows``."""
        rows = (row.rstrip(b"\r\n") for row in self.spans.chosen(np.insert(indices + 1, 0, 0)))
        _write(place, rows, b"", b"\n", b"\n")


def _parsed(text: bytes, file: str, index: int) -> Any:
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # of JSON, of UTF-8, or nested too deeply
        where = f"{file}, record {index}"
        raise RowError(where, f"it is not JSON: {error}.", Fault.BROKEN) from error


def _cells(row: bytes, separator: str, where: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(row.decode("utf-8"), newline=""), delimiter=separator))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RowError(where, f"it is no row of a table: {error}.", Fault.BROKEN) from error


def _write(place: Place, rows: Iterable[bytes], opening: bytes, between: bytes, closing: bytes) -> None:
    with written(place) as file:
        file.write(opening)
        for number, row in enumerate(rows):
            file.write(between if number else b"")
            file.write(row)
        file.write(closing)
