import json
from pathlib import Path

import numpy as np
import pytest

from kinema.datasets.own import open_records
from kinema.errors import ConfigError, DataError
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart, VideoPart

RNG = np.random.default_rng(0)


def talk(part, question, answer):
    asked = Message(role="user", parts=(part, TextPart(text=question)))
    return Conversation(messages=(asked, Message(role="assistant", parts=(TextPart(text=answer),))))


RUN = {"from": "human", "value": "<video>\nWhat happens?"}, {"from": "gpt", "value": "A dog runs."}
ASKED = {"type": "text", "text": "What happens?"}
ANSWERED = {"role": "assistant", "content": "A dog runs."}


def messages(*parts):
    return [{"role": "user", "content": [*parts, ASKED]}, ANSWERED]


SAME = {
    "llava": {"id": "1", "video": "a.mp4", "conversations": RUN},
    "videollama3": {"video": ["a.mp4"], "conversations": RUN},
    "sharegpt": {
        "messages": [{"role": "user", "content": "<video>\nWhat happens?"}, ANSWERED],
        "videos": ["a.mp4"],
    },
    "openai": {"messages": messages({"type": "video_url", "video_url": {"url": "a.mp4"}})},
    "huggingface": {"messages": messages({"type": "video", "video": "a.mp4"})},
    "huggingface, files apart": {"messages": messages({"type": "video", "text": None}), "videos": ["a.mp4"]},
    "captions": {"file_name": "a.mp4", "text": "A dog runs.", "question": "What happens?"},
}


@pytest.mark.parametrize("form", SAME)
def test_all_forms_say_the_same(form, tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(SAME[form]))
    expected = talk(VideoPart(source=tmp_path / "a.mp4"), "What happens?", "A dog runs.")
    assert open_records(tmp_path / "a.jsonl").sample(0, RNG) == expected
    named = open_records(tmp_path / "a.jsonl", format=form.partition(",")[0])
    assert named.sample(0, RNG) == expected


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "lines.json"])
def test_a_file_may_mix_forms_and_says_which_row_is_broken(name, tmp_path):
    rows = [*SAME.values(), {"conversations": 3}]
    text = json.dumps(rows, indent=1) if name == "a.json" else "\n\n".join(map(json.dumps, rows))
    (tmp_path / name).write_text(text)
    data = open_records(tmp_path / name, media_dir="films")
    assert len(data) == 8
    expected = talk(VideoPart(source=Path("films/a.mp4")), "What happens?", "A dog runs.")
    assert [data.sample(index, RNG) for index in range(7)] == [expected] * 7
    assert data.sample(8, RNG) == expected
    with pytest.raises(DataError, match=rf"{name}, record 7: a record needs 'conversations'"):
        data.sample(7, RNG)


def test_files_are_put_end_to_end_and_lengths_count_words(tmp_path):
    quiet = [{"from": "human", "value": "Who are you?"}, {"from": "gpt", "value": "Nobody."}]
    (tmp_path / "a.jsonl").write_text(json.dumps(SAME["llava"]))
    (tmp_path / "b.json").write_text(json.dumps([{"conversations": quiet}, SAME["captions"]]))
    data = open_records([tmp_path / "a.jsonl", tmp_path / "b.json"])
    assert data.modality_lengths() == (6, -4, 6)
    assert data.sample(1, RNG).messages[1].text == "Nobody."


@pytest.mark.parametrize(
    ("row", "part", "question"),
    [
        ({"image": "a.png", "caption": "x"}, ImagePart(source=Path("films/a.png")), "Describe the image."),
        ({"audio": "a.wav", "label": "x"}, AudioPart(source=Path("films/a.wav")), "Describe the sound."),
        (
            {"video": "/b/a.mp4", "text": "x", "start": "1.5", "end": 4},
            VideoPart(source=Path("/b/a.mp4"), start_s=1.5, end_s=4.0),
            "Describe the video.",
        ),
        (
            {"video": "https://b/a.mp4", "answer": "x", "prompt": "Who?"},
            VideoPart(source="https://b/a.mp4"),
            "Who?",
        ),
    ],
)
def test_captions_are_answers_to_what_is_shown(row, part, question, tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    assert open_records(tmp_path / "a.jsonl", media_dir="films").sample(0, RNG) == talk(part, question, "x")


def test_a_caption_may_have_a_prompt_of_ones_own_or_none(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"video": "a.mp4", "caption": "A dog."}))
    part = VideoPart(source=tmp_path / "a.mp4")
    assert open_records(tmp_path / "a.jsonl", prompt="Who?").sample(0, RNG) == talk(part, "Who?", "A dog.")
    assert open_records(tmp_path / "a.jsonl", prompt="").sample(0, RNG).messages[0].parts == (part,)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"words": "A dog."}, r"its fields \(words\) are none of a known form"),
        ([1], "it must be an object, got list"),
        ({"video": ["a", "b"], "caption": "x"}, "'video' must be the path of one file"),
        ({"video": "a", "caption": "x", "start": "soon"}, "'start' must be a time in seconds, got 'soon'"),
        ({"video": "a.mp4", "caption": float("nan")}, "'caption' must be a text or a number, got nan"),
        ({"video": "a.mp4", "caption": ["x", "y"]}, "'caption' must be a text or a number, got \\["),
        ({"video": "a.mp4", "caption": "x", "question": {}}, "'question' must be a text or a number"),
        ({"messages": "hi"}, "it needs 'messages', a list of objects"),
        ({"messages": messages({"type": "image"})}, "names no file, and no more are listed as 'images'"),
        ({"messages": messages(), "images": ["a"]}, "1 more of image than its messages have parts"),
    ],
)
def test_a_row_of_no_form_is_named(row, complaint, tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError, match=rf"a.jsonl, record 0: .*{complaint}"):
        open_records(tmp_path / "a.jsonl")


def test_a_format_or_file_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="format must be one of llava, sharegpt"):
        open_records(tmp_path / "a.jsonl", format="alpaca")
    with pytest.raises(ConfigError, match=r"files of records end in \.jsonl"):
        open_records(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"a\.jsonl: there is no such file"):
        open_records(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(DataError, match="there is no record in"):
        open_records(tmp_path / "a.jsonl")
