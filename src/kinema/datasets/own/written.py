"""A file that is there whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from kinema.datasets.own.place import Place, local_path


@contextmanager
def written(place: Place) -> Iterator[IO[bytes]]:
    """A new file on this machine, under another name until it is written to its end."""
    path = local_path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
