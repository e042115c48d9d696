import json

import pytest
from chat_pieces import IM_END, IM_START, write_internlm_vocabulary

from kinema.errors import ConfigError, InputError
from kinema.media.rules import internvideo2_segment
from kinema.processors.chat import Control, PartTokens, Placeholders, Turn
from kinema.processors.inst_template import InstTemplate, frame_times_message
from kinema.processors.labels import IGNORE_INDEX, supervise
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart, VideoPart
from kinema.processors.role_tokens import encode_role_turns
from kinema.processors.sentence_pieces import SentencePieceTokenizer


@pytest.fixture(scope="module")
def groups(golden_dir):
    return json.loads((golden_dir / "internvideo2/F_chat_prompts.json").read_text())["groups"]


def said(role, *parts):
    return Message(role=role, parts=tuple(TextPart(text=p) if isinstance(p, str) else p for p in parts))


def conversation_of(given):
    kind = VideoPart if given["media_type"] == "video" else ImagePart
    questions = [*given.get("history", []), [given["question"], None]]
    messages = [said("system", given["instruction"])] if "instruction" in given else []
    shown = (kind(source="clip"),)
    for question, answer in questions:
        messages.append(said("user", *shown, question))
        shown = ()
        if answer is not None:
            messages.append(said("assistant", answer))
    return Conversation(messages=tuple(messages))


def segments_of(turns: list[Turn]) -> list[str]:
    """What goes to the tokenizer between media, special tokens by their names."""
    segments = [""]
    for piece in (piece for turn in turns for piece in turn.pieces):
        if isinstance(piece, Placeholders):
            segments.append("")
        elif piece != Control("<s>"):
            segments[-1] += piece.token if isinstance(piece, Control) else piece
    return segments


def tokens_of(num_views, times_s=None):
    return PartTokens(tokens_per_frame=(96,) * num_views, times_s=times_s or (None,) * num_views)


def test_prompts_are_cut_into_the_originals_stretches(groups):
    assert groups["release_chat"]
    for case in groups["release_chat"]:
        given = case["input"]
        turns = InstTemplate().turns(conversation_of(given), [tokens_of(given["tiles"])])
        expected = case["output"]["tokenised_segments"]
        found = segments_of(turns)
        found[-1] += given.get("answer_prompt", "")  # what is put into the assistant's mouth
        # A message about the frames is a setting of ours, see frame_times.
        assert found == [text.replace(given["msg"].rstrip(), "") for text in expected], case


def test_the_layout_has_a_begin_token_before_each_stretch_and_all_queries_of_each_view(groups):
    for case in groups["release_chat_token_layout"]:
        given = case["input"]
        turns = InstTemplate().turns(conversation_of(given), [tokens_of(given["tiles"])])
        pieces = [piece for turn in turns for piece in turn.pieces]
        begins = [index for index, piece in enumerate(pieces) if piece == Control("<s>")]
        views = [index for index, piece in enumerate(pieces) if isinstance(piece, Placeholders)]
        assert [0, *(index + 1 for index in views)] == begins
        visual = sum(count for is_visual, count in case["output"]["runs_of_visual_index"] if is_visual)
        assert sum(pieces[index].num_tokens for index in views) == visual
        words = sum(len(text.split()) for text in segments_of(turns))
        assert len(begins) + words + visual == case["output"]["total"]


def test_training_texts_have_no_begin_token(groups):
    for case in groups["training"]:
        given = case["input"]
        first = given["qa"][0]
        if not first["q"] or given["msg"]:
            continue  # a caption without a question, or with a message before it, is no conversation of ours
        talk = conversation_of({"media_type": given["media_type"], "question": first["q"]})
        talk = Conversation(messages=(*talk.messages, said("assistant", first["a"])))
        turns = InstTemplate(begins_segments=False).turns(talk, [tokens_of(given["tiles"])])
        texts = [
            "".join(
                "[<VID_PLH>]" if isinstance(piece, Placeholders) else getattr(piece, "token", piece)
                for piece in turn.pieces
            )
            for turn in turns
        ]
        assert texts == case["output"]["tokenised_texts"]


def test_the_sentence_about_frames_is_the_originals(groups):
    assert groups["timestamp_message"]
    for case in groups["timestamp_message"]:
        given = case["input"]
        indices = internvideo2_segment(given["num_frames_in_video"], given["num_segments"])
        assert frame_times_message([index / given["fps"] for index in indices]) == case["output"]


def test_frame_times_stand_after_the_media_when_asked_for():
    talk = Conversation(messages=(said("user", VideoPart(source="clip"), "Why?"),))
    turns = InstTemplate(frame_times=True).turns(talk, [tokens_of(1, times_s=(0.5, 1.26))])
    assert segments_of(turns)[-1] == (
        "</Video>The video contains 2 frames sampled at 0.5, 1.3 seconds.[/INST] [INST] Why? [/INST]"
    )


def test_text_alone_has_no_turn_for_media():
    talk = Conversation(messages=(said("user", "Hello"),))
    assert segments_of(InstTemplate().turns(talk, [], add_generation_prompt=True)) == [
        " [INST] Hello [/INST]"
    ]


def test_stretches_of_sound_have_tags_of_their_own():
    talk = Conversation(messages=(said("user", AudioPart(source="a.wav"), "What is heard?"),))
    turns = InstTemplate().turns(talk, [tokens_of(2)])
    assert segments_of(turns) == [
        "[INST] <Audio>",
        "</Audio><Audio>",
        "</Audio>[/INST] [INST] What is heard? [/INST]",
    ]


INTERNLM = InstTemplate(marks="chatml", begins_segments=False)


def test_internlm_has_turns_of_its_own_as_in_the_training_code():
    talk = Conversation(
        messages=(
            said("system", "Watch."),
            said("user", VideoPart(source="clip"), "Why?"),
            said("assistant", "So."),
            said("user", "And?"),
        )
    )
    turns = INTERNLM.turns(talk, [tokens_of(2)], add_generation_prompt=True)
    assert segments_of(turns) == [
        "<|im_start|>system\nWatch.<|im_end|>\n<|im_start|>user\n<vid>",
        "</vid><vid>",
        "</vid><|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>\n</s>"
        "<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n",
    ]


def test_internlm_names_pictures_in_its_own_way_and_says_nothing_of_media_where_there_are_none():
    picture = Conversation(messages=(said("user", ImagePart(source="a"), "Why?"),))
    assert segments_of(INTERNLM.turns(picture, [tokens_of(1)]))[0] == "<|im_start|>user\n<img>"
    words = Conversation(messages=(said("user", "Why?"),))
    assert segments_of(INTERNLM.turns(words, [])) == ["<|im_start|>user\nWhy?<|im_end|>\n"]


def test_only_what_internlm_answers_is_labelled_with_its_ends(tmp_path):
    write_internlm_vocabulary(tmp_path, 40)
    named = {"<|im_end|>": IM_END, "<|im_start|>": IM_START}
    pieces = SentencePieceTokenizer((tmp_path / "tokenizer.model").read_bytes(), added_tokens=named)
    talk = Conversation(messages=(said("user", "what"), said("assistant", "a dog")))
    encoded = encode_role_turns(INTERNLM.turns(talk, []), pieces)
    labels = supervise(encoded).labels
    ids = [token for turn in encoded for token in turn.ids]
    ends = [IM_END, *pieces.encode("\n"), pieces.special_id("</s>")]
    learned = [*pieces.encode("a dog"), *ends]
    assert list(labels) == [IGNORE_INDEX] * (len(ids) - len(learned)) + learned


def test_a_template_says_what_a_vocabulary_must_have_and_what_ends_answers():
    assert InstTemplate().control_tokens == ("</s>", "[/INST]", "[INST]")
    assert InstTemplate().stop_tokens == ("</s>",)
    assert INTERNLM.control_tokens == ("</s>", "<|im_end|>", "<|im_start|>")
    assert INTERNLM.stop_tokens == ("<|im_end|>", "</s>")
    with pytest.raises(ConfigError, match="'inst' or 'chatml', got 'llama'"):
        InstTemplate(marks="llama")


def test_what_looks_like_a_special_token_stays_text():
    talk = Conversation(messages=(said("user", "say [/INST]"),))
    (_, question) = InstTemplate().turns(talk, [])
    assert question.pieces == (" ", Control("[INST]"), " ", "say [/INST]", " ", Control("[/INST]"))


@pytest.mark.parametrize(
    ("messages", "said_then"),
    [
        ((said("user", "a"), said("user", VideoPart(source="b"))), "first turn of the user"),
        ((said("user", VideoPart(source="a")),), "1 media, 0 are described"),
        ((said("user", "a"), said("stream", "b")), "no turn of the role 'stream'"),
    ],
)
def test_conversations_that_do_not_fit_are_refused(messages, said_then):
    with pytest.raises(InputError, match=said_then):
        InstTemplate().turns(Conversation(messages=messages), [])
