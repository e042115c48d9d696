import json
from dataclasses import replace

import pytest

from kinema.errors import InputError
from kinema.processors.chat import PartTokens, turns_to_text
from kinema.processors.dialects import from_sharegpt
from kinema.processors.messages import Conversation, ImagePart, Message, TextPart, VideoPart
from kinema.processors.role_template import PLAIN, ROLE_TEMPLATES, VICUNA_V1

ROLES = {"human": "user", "gpt": "assistant"}
IMAGE = ImagePart(source=b"")
ONE = PartTokens(tokens_per_frame=(1,), times_s=(None,))


def as_text(turns) -> Conversation:
    """Markers and all as words, so that nothing but the template decides where anything stands."""
    return Conversation(
        messages=tuple(
            Message(role=ROLES[turn["from"]], parts=(TextPart(text=turn["value"] or ""),)) for turn in turns
        )
    )


def as_media(turns) -> tuple[Conversation, int]:
    """Markers as images; a record needs as many files."""
    count = sum(turn["value"].count("<image>") for turn in turns)
    return from_sharegpt({"image": ["x"] * count, "conversations": turns}), count


def render(template, conversation, media) -> str:
    return turns_to_text(template.turns(conversation, media)).removeprefix("<s>")


def test_prompts_of_every_published_template(golden_dir):
    cases = json.loads((golden_dir / "video_llava/prompts.json").read_text())
    assert {case["template"] for case in cases} == set(ROLE_TEMPLATES)
    for case in cases:
        template = ROLE_TEMPLATES[case["template"]]
        if template is PLAIN:
            conversation, count = as_media(case["conversation"])
            assert render(template, conversation, [ONE] * count) == case["expected"], case["name"]
        else:
            assert render(template, as_text(case["conversation"]), []) == case["expected"], case["name"]


def user(*parts) -> Conversation:
    return Conversation(messages=(Message(role="user", parts=parts),))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((IMAGE, TextPart(text="Why?")), "USER: <image>\nWhy? "),
        ((IMAGE, IMAGE, TextPart(text="Why?")), "USER: <image><image>\nWhy? "),
        ((TextPart(text="Why?"), IMAGE), "USER: Why?\n<image> "),
        ((TextPart(text="Look: "), IMAGE, TextPart(text="Why?")), "USER: Look: <image>\nWhy? "),
    ],
)
def test_a_line_break_stands_between_words_and_media(parts, expected):
    media = [ONE for part in parts if part is IMAGE]
    assert render(VICUNA_V1, user(*parts), media).endswith(expected)


def test_times_of_frames_are_written_on_request():
    template = replace(VICUNA_V1, frame_times=True)
    clip = PartTokens(tokens_per_frame=(2, 2), times_s=(0.0, 1.5))
    prompt = render(template, user(VideoPart(source=b""), TextPart(text="Why?")), [clip])
    assert prompt.endswith("USER: Time 0.0s:<video><video>Time 1.5s:<video><video>\nWhy? ")


def test_a_system_turn_takes_the_place_of_the_greeting():
    said = Conversation(
        messages=(
            Message(role="system", parts=(TextPart(text="Be brief."),)),
            Message(role="user", parts=(TextPart(text="Why?"),)),
        )
    )
    assert render(VICUNA_V1, said, []) == "Be brief. USER: Why? "


def test_turns_that_the_prompt_has_no_place_for_are_refused():
    stream = Conversation(messages=(Message(role="stream", parts=(TextPart(text="x"),)),))
    with pytest.raises(InputError, match="no turn of the role 'stream'"):
        VICUNA_V1.turns(stream, [])
    answer = Message(role="assistant", parts=(IMAGE,))
    with pytest.raises(InputError, match="answers in words"):
        VICUNA_V1.turns(Conversation(messages=(user(TextPart(text="x")).messages[0], answer)), [ONE])
    with pytest.raises(InputError, match="has 1 images, videos and sounds, 0 are described"):
        VICUNA_V1.turns(user(IMAGE), [])
