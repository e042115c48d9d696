"""Rows of a Parquet table, a row group at a time.

A row costs the reading of its group, of which the last ones stay in memory: groups of a hundred rows, as
``datasets`` of Hugging Face writes media, can be read in any order; larger ones are slow where rows are
shuffled.

Media may stand in a column of bytes, or as ``datasets`` of Hugging Face writes them, an object of ``bytes``
and ``path``. Columns have the names that fields of JSON rows have.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.own.place import Place, open_bytes
from kinema.datasets.own.written import written
from kinema.datasets.records import Record
from kinema.errors import DataError
from kinema.optional import require

_GROUPS_HELD = 2
"""Row groups that stay in memory, the last ones that were read."""


class ParquetRows:
    """The rows of all groups. No file is held open, so that processes can share them.

    Raises:
        DataError: if there is no such file, or it is no Parquet.
        MissingExtraError: if pyarrow is not installed.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        with self._opened() as file:
            metadata = file.metadata
            lengths = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._ends: NDArray[np.int64] = np.cumsum([0, *lengths])[1:]
        self._held: OrderedDict[int, Any] = OrderedDict()

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> Record:
        """See ``Rows``."""
        group, row = self._find(index)
        (data,) = self._group(group).slice(row, 1).to_pylist()
        return Record(data=_plain(data), file=str(self._place), index=index)

    def write(self, indices: NDArray[np.int64], place: Place) -> None:
        """See ``Rows``; groups stay apart, with their columns and what is noted of them."""
        parquet = require("pyarrow.parquet", "train")
        groups = np.searchsorted(self._ends, indices, side="right")
        with (
            self._opened() as source,
            written(place) as target,
            parquet.ParquetWriter(target, source.schema_arrow) as writer,
        ):
            for group in np.unique(groups).tolist():
                chosen = indices[groups == group] - self._first(group)
                writer.write_table(source.read_row_group(group).take(chosen))

    def _group(self, group: int) -> Any:
        """A table, kept in case that its next row is asked for."""
        if group not in self._held:
            with self._opened() as file:
                self._held[group] = file.read_row_group(group)
            while len(self._held) > _GROUPS_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(group)
        return self._held[group]

    def _find(self, index: int) -> tuple[int, int]:
        group = int(np.searchsorted(self._ends, index, side="right"))
        return group, index - self._first(group)

    def _first(self, group: int) -> int:
        return int(self._ends[group - 1]) if group else 0

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        parquet = require("pyarrow.parquet", "train")
        arrow = require("pyarrow", "train")
        with open_bytes(self._place) as raw:
            try:
                file = parquet.ParquetFile(raw)
            except arrow.ArrowException as error:
                raise DataError(f"{self._place}: it is no Parquet file: {error}.") from error
            yield file


def _plain(value: Any) -> Any:
    """A value as JSON would have it, media as bytes, or as a path where there are no bytes."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value.keys() >= {"bytes", "path"}:
        return value["path"] if value["bytes"] is None else value["bytes"]
    return {name: _plain(item) for name, item in value.items()}
