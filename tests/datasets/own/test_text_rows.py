import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.datasets.own import spans
from kinema.datasets.own.rows import open_rows
from kinema.errors import DataError

values = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('ä"\\],[{} \n'), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner),
    max_leaves=4,
)


@given(st.lists(values, max_size=6), st.sampled_from([None, 1]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_elements_of_a_list_are_found_whatever_they_hold(tmp_path_factory, elements, indent, escapes):
    path = tmp_path_factory.mktemp("list") / "a.json"
    path.write_text(json.dumps(elements, indent=indent, ensure_ascii=escapes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "_BLOCK", 3)
        rows = open_rows(path)
    assert [rows[index].data for index in range(len(rows))] == elements


def test_a_mark_of_utf_8_at_the_beginning_is_no_part_of_a_row(tmp_path):
    for name, text in (("a.json", '[{"k": "ä"}]'), ("a.jsonl", '{"k": "ä"}\r\n\n'), ("a.csv", "k\nä\n")):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        rows = open_rows(tmp_path / name)
        assert len(rows) == 1
        assert rows[0].data == {"k": "ä"}


def test_cells_may_hold_line_breaks_and_quotes(tmp_path):
    (tmp_path / "a.csv").write_text(
        'file,text\r\na.mp4,"One ""dog""\nruns, far"\r\n\r\nb.mp4,Two\u2028cats\r\n'
    )
    rows = open_rows(tmp_path / "a.csv")
    assert [rows[index].data for index in range(len(rows))] == [
        {"file": "a.mp4", "text": 'One "dog"\nruns, far'},
        {"file": "b.mp4", "text": "Two\u2028cats"},
    ]
    (tmp_path / "a.tsv").write_text("file\ttext\na.mp4\tOne, two\n")
    assert open_rows(tmp_path / "a.tsv")[0].data == {"file": "a.mp4", "text": "One, two"}


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.json", '[{"n": 0}, {"n"]', "record 1: it is not JSON"),
        ("a.json", '[{"n": 0} {"n": 1}]', "record 0: neither a comma nor the end"),
        ("a.json", '[{"n": 0}', "record 0: neither a comma nor the end"),
        ("a.json", '{\n"data": []}', "a .json file of records holds a list"),
        ("a.json", '[{"n": 0}] [{"n": 1}]', "something follows the end of its list"),
        ("a.json", "[]]", "something follows the end of its list"),
        ("a.json", "[" + '{"n":' * 100_000, "record 0: it is nested too deeply"),
        ("a.csv", "", "this file is empty"),
        ("a.csv", "file,file\na,b\n", "each column needs a name of its own"),
    ],
)
def test_a_file_that_cannot_be_taken_apart_is_named(name, text, complaint, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=complaint):
        open_rows(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text"), [("a.jsonl", '{"n": 0}\n'), ("a.json", '[{"n": 0}]'), ("a.csv", "n\n0\n")]
)
@pytest.mark.parametrize("mark", ["\ufeff", "\ufffe"])
def test_utf_16_is_told(name, text, mark, tmp_path):
    (tmp_path / name).write_bytes((mark + text).encode("utf-16-le"))
    with pytest.raises(DataError, match=rf"{name}: it is UTF-16; save it as UTF-8"):
        open_rows(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.jsonl", b'{"n": 0}\n{"n"\n', "a.jsonl, record 1: it is not JSON"),
        ("a.jsonl", b'{"n": 0}\n{"n": "\xff"}\n', "a.jsonl, record 1: it is not JSON: 'utf-8'"),
        ("a.jsonl", b'{"n": 0}\n' + b'{"n":' * 100_000, "a.jsonl, record 1: it is not JSON"),
        ("a.csv", b"n\n0\n1,2\n", "a.csv, record 1: it has 2 cells under 1 columns"),
        ("a.csv", b"n\n0\n\xff\n", "a.csv, record 1: it is no row of a table"),
    ],
)
def test_a_broken_row_does_not_break_the_others(name, text, complaint, tmp_path):
    (tmp_path / name).write_bytes(text)
    rows = open_rows(tmp_path / name)
    assert str(rows[0].data["n"]) == "0"
    with pytest.raises(DataError, match=complaint):
        rows[1]


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("a.jsonl", '{"n":  0}\nbroken\n{"n": 2}', '{"n":  0}\n{"n": 2}\n'),
        ("a.json", '[{"n":  0}, {"n": 1}, {"n": 2}]', '[\n{"n":  0},\n{"n": 2}\n]\n'),
        ("a.csv", 'n,m\n0,"a\nb"\n1,\n2,c', 'n,m\n0,"a\nb"\n2,c\n'),
    ],
)
def test_chosen_rows_are_written_as_they_stood_there(name, text, left, tmp_path):
    (tmp_path / name).write_text(text)
    open_rows(tmp_path / name).write(np.array([0, 2]), tmp_path / "clean" / name)
    assert (tmp_path / "clean" / name).read_text() == left
    assert [path.name for path in (tmp_path / "clean").iterdir()] == [name]
