import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinema.datasets.records import Record, RecordSettings, to_conversation
from kinema.errors import DataError
from kinema.media.video import open_video
from kinema.media.write import write_video
from kinema.processors.messages import ImagePart, TextPart, VideoPart
from kinema.processors.read import MediaReader, ReadSettings

LEVELS = 5
"""Grey levels between neighbouring frames; they repeat after 50 frames."""


@pytest.fixture(scope="module")
def golden(golden_dir):
    return json.loads((golden_dir / "videollama3/records.json").read_text())


@pytest.fixture(scope="module")
def media(golden, tmp_path_factory):
    """The clip and images that the golden records name, made as their README describes them."""
    folder = tmp_path_factory.mktemp("records")
    described = golden["video_file"]
    frames = (np.full((32, 32, 3), i % 50 * LEVELS, np.uint8) for i in range(described["num_frames"]))
    write_video(folder / "v.mp4", frames, fps=float(described["fps"]), crf=1)
    for number in range(10):
        Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
    return folder


def record(data):
    return Record(data=data, file="train.json", index=3)


def as_golden(conversation, folder, settings):
    """Messages as the golden set writes them; times of videos are those of the frames that would be read."""
    messages = []
    for message in conversation.messages:
        if message.role in ("assistant", "system"):
            messages.append({"role": message.role, "content": message.text})
            continue
        content = [_as_golden(part, message.role, settings) for part in message.parts]
        messages.append({"role": message.role, "content": content})
    return messages


def _as_golden(part, role, settings):
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, VideoPart):
        with MediaReader(ReadSettings(fps=settings["fps"], max_frames=settings["max_frames"])) as reader:
            reader.add_video(part)
            times = list(reader.clips[0].times_s)
        return {"type": "video", "num_frames": len(times), "timestamps": times}
    return {"type": "image", "timestamps": part.time_s} if role == "stream" else {"type": "image"}


def golden_messages(case):
    """The golden messages without the times of what is said, which nobody prints."""
    messages = []
    for message in case["messages"]:
        content = message["content"]
        if message["role"] == "user" and isinstance(content, str):
            content = [{"type": "text", "text": content}]
        messages.append({"role": message["role"], "content": content})
    return messages


def has_system_turn(case):
    return any(turn.get("from") == "system" for turn in case["record"].get("conversations", []))


def test_records_become_the_conversations_of_the_original(golden, media):
    assert golden["cases"]
    for case in golden["cases"]:
        if "raises" in case:
            with pytest.raises(DataError, match=r"train.json, record 3: "):
                to_conversation(record(case["record"]), RecordSettings(media_dir=media))
        elif not has_system_turn(case):
            conversation = to_conversation(record(case["record"]), RecordSettings(media_dir=media))
            assert as_golden(conversation, media, golden["settings"]) == golden_messages(case), case["id"]


def test_system_turns_are_trained_as_speech_only_on_request(golden, media):
    for case in filter(has_system_turn, golden["cases"]):
        ours = to_conversation(record(case["record"]), RecordSettings(media_dir=media))
        assert ours.messages[0].role == "system", case["id"]
        assert ours.messages[0].text == case["record"]["conversations"][0]["value"], case["id"]
        if "<image>" in golden_messages(case)[0]["content"]:
            continue  # the original puts the tag into the assistant's mouth, where no image can follow
        settings = RecordSettings(media_dir=media, system_turns="assistant")
        copied = to_conversation(record(case["record"]), settings)
        assert as_golden(copied, media, golden["settings"]) == golden_messages(case), case["id"]


def test_the_frames_of_a_stream_are_the_ones_the_original_decodes(golden, media):
    with open_video(media / "v.mp4") as video:
        pts_s = video.timeline.pts_s
    streams = [case for case in golden["cases"] if case["record"].get("stream") and "raises" not in case]
    assert streams
    for case in streams:
        conversation = to_conversation(record(case["record"]), RecordSettings(media_dir=media))
        parts = [p for m in conversation.messages for p in m.parts if isinstance(p, ImagePart)]
        assert len(parts) == case["num_frames"], case["id"]
        assert [part.source.pts_s for part in parts] == pts_s[case["source_frames"]].tolist(), case["id"]
        with MediaReader(ReadSettings()) as reader:
            reader.add_stream(parts)
            read = list(reader.frames())
        assert [frame.time_s for frame in read] == [part.time_s for part in parts], case["id"]
        expected = [index % 50 * LEVELS for index in case["source_frames"]]
        np.testing.assert_allclose([frame.pixels.mean() for frame in read], expected, atol=2)


def test_what_is_encoded_is_as_many_items_as_in_the_original(golden, media):
    for case in golden["cases"]:
        if case.get("num_images") is None or case["record"].get("stream"):
            continue
        conversation = to_conversation(record(case["record"]), RecordSettings(media_dir=media))
        parts = [p for m in conversation.messages for p in m.parts if isinstance(p, ImagePart | VideoPart)]
        assert len(parts) == case["num_images"], case["id"]
        assert all(isinstance(part, VideoPart) == (case["modal"] == "video") for part in parts), case["id"]


ANSWERED = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."}]
SAID_WHEN = [{"role": "user", "content": "Hi"}]
TWO_TAGS = [{"from": "human", "value": "<image><image>"}, *ANSWERED]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ([], "must be an object"),
        ({"conversations": "Hi"}, "'conversations' must be a list"),
        ({"conversations": [{"from": "human"}]}, "turn 0 needs 'from' and 'value'"),
        ({"image": [], "conversations": ANSWERED}, "'image' must be a path or a list of paths"),
        ({"image": ["a", "b"], "conversations": ANSWERED}, "1 more of image than its turns have"),
        ({"image": "a", "video": ["b"], "conversations": ANSWERED}, "one of them"),
        ({"image": "a", "conversations": TWO_TAGS}, "more <image>"),
        ({"stream": True, "video": ["v.mp4"], "conversations": ANSWERED}, "a stream needs 'conversation'"),
        ({"stream": True, "video": ["v.mp4"], "conversation": SAID_WHEN}, "a 'time'"),
    ],
)
def test_a_malformed_record_is_named(data, complaint):
    with pytest.raises(DataError, match=rf"train.json, record 3: .*{complaint}"):
        to_conversation(record(data), RecordSettings(media_dir=Path()))


def test_messages_of_a_stream_are_in_order_of_time(media):
    said = [{"role": "user", "content": "Hi", "time": 2}, {"role": "assistant", "content": "Hi", "time": 1}]
    data = {"stream": True, "video": ["v.mp4"], "start_time": 0.0, "end_time": 4.0, "conversation": said}
    with pytest.raises(DataError, match="message 1 is said at 1 s, before"):
        to_conversation(record(data), RecordSettings(media_dir=media))
