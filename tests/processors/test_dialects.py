import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.errors import InputError, TagError
from kinema.processors.dialects import (
    from_huggingface,
    from_openai,
    from_sharegpt,
    to_huggingface,
    to_openai,
    to_sharegpt,
)
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart, VideoPart

words = st.text(st.sampled_from("ab \n<>|image"), max_size=12)
names = st.text(st.sampled_from("abc/."), min_size=1, max_size=8)
seconds = st.none() | st.integers(0, 9).map(float)
texts = words.map(lambda text: TextPart(text=text))
images = st.builds(ImagePart, source=names | st.binary(max_size=6))
videos = st.builds(
    VideoPart,
    source=names | st.binary(max_size=6),
    fps=st.none() | st.just(2.0),
    max_frames=st.none() | st.integers(1, 9),
    start_s=seconds,
    end_s=seconds,
    sampling=st.none() | st.just("uniform"),
)
sounds = st.builds(AudioPart, source=names | st.binary(max_size=6), start_s=seconds, end_s=seconds)


def conversations(parts, roles):
    message = st.builds(Message, role=st.sampled_from(roles), parts=st.lists(parts, max_size=4).map(tuple))
    return st.lists(message, max_size=4).map(lambda messages: Conversation(messages=tuple(messages)))


@given(conversations(texts | images | videos | sounds, ["system", "user", "assistant", "stream"]))
@settings(max_examples=60, deadline=None)
def test_openai_messages_come_back_as_they_were(conversation):
    assert from_openai(to_openai(conversation)) == conversation


@given(conversations(texts | images | videos | sounds, ["system", "user", "assistant", "stream"]))
@settings(max_examples=60, deadline=None)
def test_huggingface_messages_come_back_as_they_were(conversation):
    assert from_huggingface(to_huggingface(conversation)) == conversation


named_files = st.one_of(*(st.builds(part, source=names) for part in (ImagePart, VideoPart, AudioPart)))
one_text = st.text(st.sampled_from("ab \n"), min_size=1, max_size=8).map(lambda text: TextPart(text=text))


@given(conversations(named_files, ["system", "user", "assistant"]), one_text)
@settings(max_examples=60, deadline=None)
def test_sharegpt_records_come_back_as_they_were(conversation, text):
    with_text = Conversation(
        messages=tuple(Message(role=m.role, parts=(*m.parts, text)) for m in conversation.messages)
    )
    assert from_sharegpt(to_sharegpt(with_text)) == with_text


def encoded(data):
    return base64.b64encode(data).decode()


def test_openai_parts_are_read():
    wav = b"RIFF...."
    content = [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "auto"}},
        {
            "type": "image_url",
            "image_url": {"url": f"data:image/png;base64,{encoded(b'png')}"},
        },
        {"type": "video_url", "video_url": {"url": "v.mp4", "fps": 2.0, "end_s": 9.0}},
        {"type": "input_audio", "input_audio": {"data": encoded(wav), "format": "wav"}},
    ]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": content}]
    conversation = Conversation.from_openai(messages)
    assert conversation.messages[0] == Message(role="system", parts=(TextPart(text="Be brief."),))
    assert conversation.messages[1].parts == (
        TextPart(text="What?"),
        ImagePart(source="https://a/b.png"),
        ImagePart(source=b"png"),
        VideoPart(source="v.mp4", fps=2.0, end_s=9.0),
        AudioPart(source=wav),
    )


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"role": "tool", "content": "x"}, "message 0: the role 'tool' is none of"),
        ({"role": "user", "content": "x", "name": "Ann"}, "message 0: name would be lost"),
        ({"role": "user"}, "content must be a text or a list"),
        ({"role": "user", "content": [3]}, "message 0, part 0: a part is a text or an object, got int"),
        (
            {"role": "user", "content": [{"type": "file", "file": {}}]},
            "type 'file' is none of text",
        ),
        ({"role": "user", "content": [{"type": "text"}]}, "'text' must be an object or a text"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a", "detail": "low"}}]},
            "detail would be lost",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,x"}}]},
            "must be base64",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:;base64,x"}}]},
            "is not base64",
        ),
    ],
)
def test_what_would_be_lost_is_refused(message, complaint):
    with pytest.raises(InputError, match=complaint):
        from_openai([message])


def test_pixels_have_no_place_in_openai_messages():
    pixels = ImagePart(source=np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(InputError, match="not pixels"):
        to_openai(Conversation(messages=(Message(role="user", parts=(pixels,)),)))


def test_huggingface_parts_are_read_in_all_their_forms():
    content = [
        "Image1: ",
        {"type": "image", "image": "a.png"},
        {"type": "image", "url": "https://a/b.png"},
        {"image": "c.png"},
        {"type": "image", "base64": encoded(b"png"), "timestamp": 2.0},
        {"type": "video", "path": "v.mp4", "fps": 2.0},
        {"type": "video", "video": {"video_path": "w.mp4", "fps": 1, "max_frames": 128, "start_time": 3.0}},
        {"type": "audio", "audio": "s.wav"},
    ]
    (message,) = Conversation.from_huggingface([{"role": "user", "content": content}]).messages
    assert message.parts == (
        TextPart(text="Image1: "),
        ImagePart(source="a.png"),
        ImagePart(source="https://a/b.png"),
        ImagePart(source="c.png"),
        ImagePart(source=b"png", time_s=2.0),
        VideoPart(source="v.mp4", fps=2.0),
        VideoPart(source="w.mp4", fps=1, max_frames=128, start_s=3.0),
        AudioPart(source="s.wav"),
    )


def test_a_huggingface_part_without_its_medium_is_refused():
    with pytest.raises(InputError, match="needs one of image, url, path, base64"):
        from_huggingface([{"role": "user", "content": [{"type": "image"}]}])


def test_tags_of_a_record_stand_for_its_files():
    record = {
        "id": "7",
        "image": ["a.png", "b.png"],
        "conversations": [
            {"from": "human", "value": "<image>\n<image>\nWhich is larger?"},
            {"from": "gpt", "value": "The first."},
        ],
    }
    conversation = Conversation.from_sharegpt(record)
    assert conversation.messages[0].parts == (
        ImagePart(source="a.png"),
        ImagePart(source="b.png"),
        TextPart(text="Which is larger?"),
    )
    assert to_sharegpt(conversation)["conversations"] == record["conversations"]


def test_records_of_messages_and_lists_in_the_plural_are_read_too():
    record = {
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "<video><audio>What is heard?"},
            {"role": "assistant", "content": "A bell."},
        ],
        "videos": ["v.mp4"],
        "audios": [b"RIFF"],
        "images": None,
    }
    system, asked, answered = from_sharegpt(record).messages
    assert system == Message(role="system", parts=(TextPart(text="Be brief."),))
    assert asked.parts == (
        VideoPart(source="v.mp4"),
        AudioPart(source=b"RIFF"),
        TextPart(text="What is heard?"),
    )
    assert answered == Message(role="assistant", parts=(TextPart(text="A bell."),))


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"image": 3, "conversations": []}, "must be a path or a list of paths, got 3"),
        ({"image": "a", "images": ["a"], "conversations": []}, "this one does both"),
        ({"conversations": [{"from": "human"}]}, "turn 0: 'value' must be a text"),
        ({"conversation": []}, "needs 'conversations'"),
    ],
)
def test_a_malformed_record_is_refused(record, complaint):
    with pytest.raises(InputError, match=complaint):
        from_sharegpt(record)


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"image": "a.png", "conversations": [{"from": "human", "value": "Hi"}]}, "no <image> stands for"),
        ({"conversations": [{"from": "human", "value": "<video>"}]}, "a <video> more than the record lists"),
    ],
)
def test_records_whose_tags_and_files_differ_are_refused(record, complaint):
    with pytest.raises(TagError, match=complaint):
        from_sharegpt(record)


def test_a_text_that_looks_like_a_tag_cannot_be_written_as_a_record():
    parts = (TextPart(text="What does <ima"), TextPart(text="ge> mean?"))
    with pytest.raises(InputError, match="would take for a file"):
        to_sharegpt(Conversation(messages=(Message(role="user", parts=parts),)))


def test_what_a_picture_shows_is_not_lost():
    depth = ImagePart(source="depth.png", modality="depth")
    talk = Conversation(messages=(Message(role="user", parts=(depth, TextPart(text="How far?"))),))
    assert from_openai(to_openai(talk)) == talk
    assert from_huggingface(to_huggingface(talk)) == talk
    with pytest.raises(InputError, match="can only name image, video and audio files"):
        to_sharegpt(talk)
    with pytest.raises(InputError, match="a picture is one of image, depth, thermal, not 'x-ray'"):
        ImagePart(source="x.png", modality="x-ray")
