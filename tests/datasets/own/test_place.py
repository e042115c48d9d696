import json
from pathlib import Path

import fsspec
import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from kinema.datasets.own import open_records
from kinema.datasets.own.place import locate
from kinema.errors import DataError, MediaError

ROW = {"video": "a.mp4", "caption": "A dog."}


@pytest.fixture
def bucket():
    """A folder of an fsspec file system, with a file of records and a clip in it."""
    memory = fsspec.filesystem("memory")
    memory.pipe({"/own/a.jsonl": json.dumps(ROW).encode(), "/own/a.mp4": b"film"})
    yield "memory://own"
    memory.rm("/own", recursive=True)


def test_records_and_media_are_read_from_where_fsspec_finds_them(bucket):
    data = open_records(f"{bucket}/a.jsonl")
    source = data.sample(0, np.random.default_rng(0)).messages[0].parts[0].source
    assert source.read() == b"film"


def test_tables_and_archives_are_read_in_place(bucket, tmp_path):
    parquet.write_table(pyarrow.Table.from_pylist([ROW]), tmp_path / "a.parquet")
    fsspec.filesystem("memory").pipe("/own/a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert open_records(f"{bucket}/a.parquet").record(0).data == ROW


def test_names_start_from_the_folder_unless_they_say_where():
    assert locate("a.mp4", Path("films")) == Path("films/a.mp4")
    assert locate("/b/a.mp4", Path("films")) == Path("/b/a.mp4")
    assert locate("file:///b/a%20b.mp4", Path("films")) == Path("/b/a b.mp4")
    assert locate("https://b/a.mp4", Path("films")) == "https://b/a.mp4"
    assert locate("a.mp4", "https://b/films/") == "https://b/films/a.mp4"
    assert locate(b"film", Path("films")) == b"film"


def test_what_is_not_there_is_named(bucket):
    with pytest.raises(DataError, match=r"memory://own/b\.jsonl: it cannot be read"):
        open_records(f"{bucket}/b.jsonl")
    with pytest.raises(DataError, match=r"nowhere://b\.tar: it cannot be read"):
        open_records("nowhere://b.tar")
    with pytest.raises(MediaError, match=r"memory://own/b\.mp4: it cannot be opened"):
        locate("b.mp4", bucket)
