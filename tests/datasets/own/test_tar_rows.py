import io
import json
import tarfile

import numpy as np
import pytest
from numbered_clips import sound_file

from kinema.datasets.own import open_records
from kinema.datasets.own.rows import open_rows
from kinema.errors import DataError
from kinema.processors.messages import AudioPart, ImagePart, TextPart, VideoPart

PNG, CAT = b"\x89PNG dog", b"\x89PNG cat"
SAID = [{"from": "human", "value": "<image><image>Who?"}, {"from": "gpt", "value": "A dog and a cat."}]


def archive(folder, files):
    with tarfile.open(folder / "a.tar", "w") as tar:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return folder / "a.tar"


def test_files_of_one_name_are_a_row(tmp_path):
    path = archive(
        tmp_path,
        {
            "b/1.jpg": PNG,
            "b/2.mp4": b"film",
            "b/1.txt": b"A dog.\n",
            "b/2.json": {"caption": "A cat.", "url": "https://a/b"},
            "3.x.wav": sound_file(),
            "3.cls": b"17",
            "._3.cls": b"\xff",
        },
    )
    data = open_records(path)
    talks = [data.conversation(index) for index in range(len(data))]
    kinds = [type(talk.messages[0].parts[0]) for talk in talks]
    assert kinds == [ImagePart, VideoPart, AudioPart]
    assert talks[0].messages[0].parts == (ImagePart(source=PNG), TextPart(text="Describe the image."))
    assert [talk.messages[1].text for talk in talks] == ["A dog.", "A cat.", "17"]


def test_rows_are_read_in_any_order(tmp_path):
    rows = open_rows(archive(tmp_path, {f"{n}.json": {"n": n} for n in range(5)}))
    assert [rows[index].data["n"] for index in (4, 0, 3, 4)] == [4, 0, 3, 4]


@pytest.mark.parametrize("names", [["1.dog.png", "1.cat.png"], ["x/1.dog.png", "x/1.cat.png"], ["old.png"]])
def test_media_are_named_by_the_fields_or_else_listed(names, tmp_path):
    row = {"image": names, "conversations": SAID}
    path = archive(tmp_path, {"1.json": row, "1.dog.png": PNG, "1.cat.png": CAT})
    parts = open_records(path).sample(0, np.random.default_rng(0)).messages[0].parts
    assert parts == (ImagePart(source=PNG), ImagePart(source=CAT), TextPart(text="Who?"))


def test_messages_name_files_in_their_parts(tmp_path):
    content = [{"type": "image", "image": "1.cat.png"}, {"type": "image", "image": "1.dog.png"}]
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": "Both."}]
    path = archive(tmp_path, {"1.dog.png": PNG, "1.cat.png": CAT, "1.json": {"messages": messages}})
    parts = open_records(path).conversation(0).messages[0].parts
    assert parts == (ImagePart(source=CAT), ImagePart(source=PNG))


def test_chosen_rows_are_written_with_all_their_files(tmp_path):
    path = archive(tmp_path, {"1.png": PNG, "2.png": CAT, "3.png": PNG, "1.txt": b"a", "3.txt": b"c"})
    open_rows(path).write(np.array([0, 2]), tmp_path / "b.tar")
    with tarfile.open(tmp_path / "b.tar") as tar:
        assert tar.getnames() == ["1.png", "1.txt", "3.png", "3.txt"]
        assert tar.extractfile("3.png").read() == PNG


def test_a_broken_row_is_named(tmp_path):
    rows = open_rows(archive(tmp_path, {"1.json": b"{", "2.txt": b"\xff"}))
    for index in range(2):
        with pytest.raises(DataError, match=rf"a\.tar, record {index} \({index + 1}\.\w+\): it is not JSON"):
            rows[index]


def test_a_compressed_tar_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    with pytest.raises(DataError, match="Unpack compressed ones"):
        open_rows(tmp_path / "a.tar")
