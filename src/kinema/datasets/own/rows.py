"""Rows of a file by number, whatever kind of file it is.

| ending                | a row is                                                           |
|-----------------------|--------------------------------------------------------------------|
| ``.jsonl``, ``.ndjson`` | a line that holds an object                                      |
| ``.json``             | an element of a list; or a line, where there is no list            |
| ``.csv``, ``.tsv``    | a line of cells, under those of the first line                     |
| ``.parquet``          | a row of a table, see ``parquet_rows``                             |
| ``.tar``              | the files of one name, see ``tar_rows``                            |
"""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.own.parquet_rows import ParquetRows
from kinema.datasets.own.place import Place
from kinema.datasets.own.tar_rows import TarRows
from kinema.datasets.own.text_rows import open_cells, open_json, open_lines
from kinema.datasets.records import Record
from kinema.errors import ConfigError


class Rows(Protocol):
    """A file of rows."""

    def __len__(self) -> int:
        """How many there are, broken ones included."""

    def __getitem__(self, index: int) -> Record:
        """One of them, as it stands there.

        Raises:
            DataError: if it is broken.
        """

    def write(self, indices: NDArray[np.int64], place: Place) -> None:
        """Write some of them, in that order, to a new file of the same kind."""


def open_rows(place: Place) -> Rows:
    """Find the rows of a file.

    Raises:
        ConfigError: if its ending says nothing.
        DataError: if there is no such file, or it holds no rows.
    """
    suffix = PurePosixPath(str(place)).suffix.lower()
    if suffix not in _OPENERS:
        raise ConfigError(f"{place}: files of records end in {', '.join(_OPENERS)}.")
    return _OPENERS[suffix](place)


_OPENERS: dict[str, Callable[[Place], Rows]] = {
    ".jsonl": open_lines,
    ".ndjson": open_lines,
    ".json": open_json,
    ".csv": lambda place: open_cells(place, ","),
    ".tsv": lambda place: open_cells(place, "\t"),
    ".parquet": ParquetRows,
    ".tar": TarRows,
}
