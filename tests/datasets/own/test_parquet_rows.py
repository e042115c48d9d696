import numpy as np
import pyarrow
import pytest
from numbered_clips import sound_file
from pyarrow import parquet

from kinema.datasets.own import open_records
from kinema.datasets.own.rows import open_rows
from kinema.errors import DataError
from kinema.processors.messages import AudioPart, ImagePart, TextPart

PNG = b"\x89PNG\r\n"


def table(folder, rows, *, per_group=2):
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "a.parquet", row_group_size=per_group)
    return folder / "a.parquet"


def test_rows_of_any_group_are_read_in_any_order(tmp_path):
    rows = open_rows(table(tmp_path, [{"n": n} for n in range(7)]))
    assert len(rows) == 7
    assert [rows[index].data["n"] for index in (6, 0, 3, 5, 6)] == [6, 0, 3, 5, 6]


def test_only_the_group_of_a_row_is_read(tmp_path):
    path = table(tmp_path, [{"n": n} for n in range(4)])
    damaged = bytearray(path.read_bytes())
    start = parquet.ParquetFile(path).metadata.row_group(1).column(0).dictionary_page_offset
    damaged[start : start + 8] = b"\xff" * 8
    path.write_bytes(damaged)
    rows = open_rows(path)
    assert rows[1].data == {"n": 1}
    with pytest.raises((OSError, DataError)):
        rows[2]


def test_media_are_bytes_or_objects_of_bytes_and_path(tmp_path):
    said = [{"from": "human", "value": "<image>\nWho?"}, {"from": "gpt", "value": "A dog."}]
    shown = [{"bytes": PNG, "path": None}, {"bytes": None, "path": "b.png"}]
    rows = [{"image": image, "conversations": said} for image in shown]
    data = open_records(table(tmp_path, rows))
    first, second = data.sample(0, np.random.default_rng(0)), data.sample(1, np.random.default_rng(0))
    assert first.messages[0].parts == (ImagePart(source=PNG), TextPart(text="Who?"))
    assert second.messages[0].parts[0] == ImagePart(source=tmp_path / "b.png")


def test_a_column_of_bytes_shows_what_it_holds(tmp_path):
    data = open_records(table(tmp_path, [{"file": PNG, "text": "x"}, {"file": sound_file(), "text": "y"}]))
    kinds = [type(data.conversation(index).messages[0].parts[0]) for index in range(2)]
    assert kinds == [ImagePart, AudioPart]


def test_parts_that_parquet_filled_up_are_read(tmp_path):
    """Objects of one column have all fields, with None where a part has none of them."""
    content = [{"type": "image", "text": None}, {"type": "text", "text": "Who?"}]
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": "A dog."}]},
    ]
    data = open_records(table(tmp_path, [{"messages": messages, "images": [{"bytes": PNG, "path": "a"}]}]))
    assert data.conversation(0).messages[0].parts == (ImagePart(source=PNG), TextPart(text="Who?"))


def test_chosen_rows_are_written_with_what_is_noted_of_their_columns(tmp_path):
    path = table(tmp_path, [{"n": n} for n in range(5)])
    noted = parquet.read_table(path).replace_schema_metadata({"made": "by hand"})
    parquet.write_table(noted, path, row_group_size=2)
    open_rows(path).write(np.array([1, 2, 4]), tmp_path / "b.parquet")
    left = parquet.read_table(tmp_path / "b.parquet")
    assert left.to_pylist() == [{"n": 1}, {"n": 2}, {"n": 4}]
    assert left.schema.metadata == {b"made": b"by hand"}


def test_what_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"words")
    with pytest.raises(DataError, match=r"a\.parquet: it is no Parquet file"):
        open_rows(tmp_path / "a.parquet")
