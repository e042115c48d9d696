import io
import json

import pytest
import sentencepiece
from chat_pieces import IM_END, IM_START, write_internlm_vocabulary
from hypothesis import given
from hypothesis import strategies as st

from kinema.errors import InputError
from kinema.processors.official_labels import official_ids
from kinema.processors.sentence_pieces import SentencePieceTokenizer


@pytest.fixture(scope="module")
def golden(golden_dir):
    return json.loads((golden_dir / "video_llava/tokenization.json").read_text())


@pytest.fixture(scope="module")
def model(golden_dir) -> bytes:
    return (golden_dir / "video_llava/tokenizer.model").read_bytes()


@pytest.fixture(scope="module")
def tokenizer(model) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(model, added_tokens={"<image>": 0})


@pytest.mark.parametrize("legacy", [True, False])
def test_markers_and_special_strings_become_ids_as_in_the_original(golden, model, legacy):
    tokenizer = SentencePieceTokenizer(model, legacy=legacy)
    for case in golden["marker_tokenization"]:
        expected = case[f"ids_legacy_{str(legacy).lower()}"]
        assert official_ids(case["text"], tokenizer) == expected, case["text"]


def test_special_strings_of_a_text_are_characters(golden, tokenizer):
    special = golden["special_ids"]
    assert tokenizer.special_id("</s>") == special["eos"]
    for text in ("</s>", "<s>hi", "a<unk>b", "<image>"):
        ids = tokenizer.encode(text)
        assert not {special["bos"], special["eos"], special["unk"]} & set(ids)
        assert tokenizer.decode(ids) == text


def test_spans_say_where_tokens_begin(tokenizer):
    text = "ASSISTANT:  hé 日"
    spans = tokenizer.encode_spans(text)
    starts = [span.start for span in spans]
    assert starts[0] == 0
    assert starts == sorted(starts)
    words = [tokenizer.decode([span.token]) for span in spans]
    assert text[starts[words.index(":")]] == ":"
    assert starts[-3:] == [len(text) - 1] * 3  # three bytes of one character
    assert tokenizer.encode_spans("") == []


def learned(normalization: str) -> SentencePieceTokenizer:
    """Of the letters of a few words; other characters are unknown."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a man walks", "the dog runs fast"] * 5),
        model_writer=model,
        model_type="bpe",
        vocab_size=30,
        normalization_rule_name=normalization,
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    return SentencePieceTokenizer(model.getvalue())


@pytest.fixture(scope="module")
def few_letters() -> SentencePieceTokenizer:
    return learned("identity")


def test_tokens_behind_unknown_characters_begin_where_they_stand(few_letters):
    spans = few_letters.encode_spans("日本 m\nd")
    assert [(few_letters.decode([span.token]), span.start) for span in spans[-4:]] == [
        ("", 2),
        ("m", 3),
        ("", 4),
        ("d", 5),
    ]


@given(text=st.text(), after_special=st.booleans())
def test_tokens_of_any_text_have_places_in_order(tokenizer, few_letters, text, after_special):
    for each in (tokenizer, few_letters):
        starts = [span.start for span in each.encode_spans(text, after_special=after_special)]
        assert starts == sorted(starts)
        assert not text or 0 <= starts[0] <= starts[-1] < len(text)


def test_a_vocabulary_that_rewrites_texts_has_no_places_for_tokens():
    with pytest.raises(InputError, match="rewrites a text before it cuts it"):
        learned("nfkc").encode_spans("a ㍿ man")


def test_added_tokens_are_special(tokenizer, model):
    assert tokenizer.special_id("<image>") == 0
    added = SentencePieceTokenizer(model, added_tokens={"<video>": tokenizer.vocab_size + 1})
    assert added.vocab_size == tokenizer.vocab_size + 2
    assert added.has("<video>")
    assert added.decode([added.special_id("<video>"), *added.encode("hi")]) == "hi"
    ids = [added.special_id("<video>"), *added.encode("hi"), added.special_id("</s>")]
    assert added.decode(ids, skip_special_tokens=False) == "<video>hi</s>"


def test_tokens_may_have_other_names_than_their_pieces(tmp_path):
    write_internlm_vocabulary(tmp_path, 40)
    named = {"<|im_end|>": IM_END, "<|im_start|>": IM_START}
    pieces = SentencePieceTokenizer((tmp_path / "tokenizer.model").read_bytes(), added_tokens=named)
    assert pieces.special_id("<|im_end|>") == IM_END
    assert pieces.vocab_size == pieces.num_pieces
    ids = [IM_START, *pieces.encode("a cat"), IM_END]
    assert pieces.decode(ids) == "a cat"
    assert pieces.decode(ids, skip_special_tokens=False) == "<|im_start|>a cat<|im_end|>"


def test_places_are_right_where_nothing_is_put_before_a_text(tmp_path):
    write_internlm_vocabulary(tmp_path, 40)
    pieces = SentencePieceTokenizer((tmp_path / "tokenizer.model").read_bytes())
    assert [span.start for span in pieces.encode_spans("a cat")] == [0, 1, 2, 3, 4]
    assert [span.start for span in pieces.encode_spans(" a")] == [0, 1]


def test_a_token_that_is_not_there_is_named(tokenizer):
    assert not tokenizer.has("<|im_end|>")
    with pytest.raises(InputError, match=r"no token '<.im_end.>'"):
        tokenizer.special_id("<|im_end|>")


def test_the_model_can_be_saved(tokenizer, model):
    assert SentencePieceTokenizer(tokenizer.model).encode("a man") == tokenizer.encode("a man")
