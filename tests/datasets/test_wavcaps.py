import json

import numpy as np
import pytest

from kinema.datasets.wavcaps import AUDIO_CAPTION_PROMPT, WavCapsFile, WavCapsRecords
from kinema.errors import DataError

RECORDS = [
    {"id": "2219", "caption": "An airplane is landing.", "duration": 14.1},
    {"id": "Yb0RFKhbpFJA.wav", "caption": "A dog barks.", "duration": 10.0},
    {"id": "7", "caption": "It rains.", "duration": 86.4, "audio": "rain/7.wav"},
]


@pytest.fixture
def written(tmp_path):
    def write(content, **settings):
        path = tmp_path / "records.json"
        path.write_text(json.dumps(content))
        file = WavCapsFile(records=path, audio_dir=tmp_path / "sounds")
        return WavCapsRecords(files=(file,), **settings)

    return write


def sample(data, index):
    asked, answer = data.sample(index, np.random.default_rng(0)).messages
    return asked.parts[0].source, asked.text, answer.text


def test_a_record_is_a_sound_and_its_caption(written, tmp_path):
    data = written({"num_captions_per_audio": 1, "data": RECORDS})
    assert len(data) == 3
    sounds = tmp_path / "sounds"
    assert sample(data, 0) == (sounds / "2219.flac", AUDIO_CAPTION_PROMPT, "An airplane is landing.")
    assert sample(data, 1)[0] == sounds / "Yb0RFKhbpFJA.flac"
    assert sample(data, 2)[0] == sounds / "rain/7.wav"


def test_a_list_alone_is_read_alike(written):
    assert sample(written(RECORDS), 1) == sample(written({"data": RECORDS}), 1)


def test_every_caption_of_a_sound_is_a_sample(written):
    record = {"id": "1", "caption_1": "A bell.", "caption_2": "A bell rings.", "duration": 3.0}
    data = written({"num_captions_per_audio": 2, "data": [record]})
    assert [sample(data, index)[2] for index in range(len(data))] == ["A bell.", "A bell rings."]


def test_long_sounds_and_those_of_a_blacklist_are_left_out(written):
    data = written(RECORDS, most_seconds=60.0, excluded=frozenset({"2219"}))
    assert [sample(data, index)[2] for index in range(len(data))] == ["A dog barks."]


@pytest.mark.parametrize(
    ("content", "settings", "said"),
    [
        ({"data": {}}, {}, "holds a list, got dict"),
        ([{"caption": "A bell."}], {}, "record 0: it must be an object with an 'id'"),
        ([RECORDS[0], {"id": "1", "caption": " "}], {}, "record 1: it needs 'caption'"),
        ([{"id": "1", "caption": "A bell."}], {"most_seconds": 9.0}, "record 0: it needs 'duration'"),
        (RECORDS, {"most_seconds": 1.0}, "is left; raise most_seconds"),
    ],
)
def test_what_cannot_be_read_is_told_by_file_and_number(written, content, settings, said):
    with pytest.raises(DataError, match=said):
        len(written(content, **settings))
