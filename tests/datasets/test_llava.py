import json
from pathlib import Path

import numpy as np
import pytest

from kinema.datasets.llava import LlavaRecords
from kinema.errors import DataError
from kinema.processors.messages import ImagePart, TextPart, VideoPart

RNG = np.random.default_rng(0)


def turns(*values: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[i % 2], "value": value} for i, value in enumerate(values)]


def records(folder: Path, *files: list) -> LlavaRecords:
    paths = []
    for number, content in enumerate(files):
        paths.append(folder / f"{number}.json")
        paths[-1].write_text(json.dumps(content))
    return LlavaRecords(files=tuple(paths), media_dir=Path("data"))


def test_files_are_one_data_set_and_paths_start_from_the_media_folder(tmp_path):
    image = {"image": "coco/1.jpg", "conversations": turns("<image>\nWhat is it?", "A dog.")}
    video = {"video": "valley/2.mp4", "conversations": turns("<video>\nAnd this?", "A cat.")}
    data = records(tmp_path, [image], [video])
    assert len(data) == 2
    first, second = data.sample(0, RNG), data.sample(1, RNG)
    assert first.messages[0].parts == (
        ImagePart(source=Path("data/coco/1.jpg")),
        TextPart(text="What is it?"),
    )
    assert second.messages[0].parts[0] == VideoPart(source=Path("data/valley/2.mp4"))
    assert second.messages[1].text == "A cat."
    assert data.sample(3, RNG) == second


def test_lengths_count_words_and_tell_text_alone_from_the_rest(tmp_path):
    image = {"image": "1.jpg", "conversations": turns("<image>\nWhat is it?", "A dog.")}
    text = {"conversations": turns("Who are you?", "Nobody.")}
    assert records(tmp_path, [image, text]).modality_lengths() == (6, -4)


def test_a_record_that_cannot_be_used_is_named(tmp_path):
    lost = {"image": "1.jpg", "conversations": turns("What is it?", "A dog.")}
    data = records(tmp_path, [lost, {"conversations": 3}])
    with pytest.raises(DataError, match=r"0.json, record 0: the record lists image files"):
        data.sample(0, RNG)
    with pytest.raises(DataError, match=r"record 1: a record needs 'conversations'"):
        data.sample(1, RNG)
    with pytest.raises(DataError, match=r"record 0: nothing is said in it"):
        records(tmp_path, [{"conversations": turns("", "")}]).modality_lengths()
    with pytest.raises(DataError, match=r"record 0: it must be an object, got str"):
        records(tmp_path, ["words"]).sample(0, RNG)
    with pytest.raises(DataError, match="there is no record"):
        len(records(tmp_path, []))
