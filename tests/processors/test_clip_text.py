import warnings

import pytest
import torch
from clip_vocabulary import small_tokenizer
from tokenizers import Tokenizer, models

from kinema.errors import ConfigError, InputError, ModelWarning
from kinema.processors.clip_text import CLIPTokenizer


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    return small_tokenizer(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture
def tokenizer(backend):
    return CLIPTokenizer(backend, num_positions=6)


def ids(backend, *tokens):
    return [backend.token_to_id(token) for token in tokens]


def test_texts_stand_between_start_and_end_and_are_padded_with_the_end(tokenizer, backend):
    inputs = tokenizer(["The dog barks", ""])
    start, end = "<|startoftext|>", "<|endoftext|>"
    assert inputs.input_ids.tolist() == [
        ids(backend, start, "the</w>", "dog</w>", "barks</w>", end, end),
        ids(backend, start, end, end, end, end, end),
    ]
    assert inputs.attention_mask.long().tolist() == [[1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]]


def test_shortened_inputs_are_as_wide_as_the_longest_text(tokenizer):
    inputs = tokenizer(["dog", "the dog"]).shortened()
    assert inputs.input_ids.shape == inputs.attention_mask.shape == (2, 4)


def test_a_long_text_is_cut_keeps_its_end_and_says_so_once(tokenizer, backend):
    with pytest.warns(ModelWarning, match="2 of 3 texts have over 4 tokens") as record:
        inputs = tokenizer(["cat " * 9, "dog", "dog " * 5])
    assert len(record) == 1
    expected = ids(backend, "<|startoftext|>", *["cat</w>"] * 4, "<|endoftext|>")
    assert inputs.input_ids[0].tolist() == expected


def test_a_text_that_fills_all_positions_is_not_cut(tokenizer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tokenizer(["cat cat cat cat"]).attention_mask.all()


def test_a_special_token_in_a_text_is_ordinary_characters(backend):
    inputs = CLIPTokenizer(backend)(["cat <|endoftext|> dog"])
    row = inputs.input_ids[0]
    assert inputs.input_ids.shape == (1, 77)
    assert row.argmax() == inputs.attention_mask[0].sum() - 1  # the only end before the padding is the last
    assert row[: row.argmax()].tolist().count(backend.token_to_id("<|startoftext|>")) == 1
    assert torch.equal(
        row[row.argmax() :], torch.full((77 - int(row.argmax()),), backend.token_to_id("<|endoftext|>"))
    )


@pytest.mark.parametrize("texts", [[], "a cat"])
def test_no_text_or_a_bare_string_is_refused(tokenizer, texts):
    with pytest.raises(InputError, match="a list of at least one string"):
        tokenizer(texts)


def test_a_tokenizer_without_clips_tokens_is_refused():
    with pytest.raises(ConfigError, match="startoftext"):
        CLIPTokenizer(Tokenizer(models.BPE()))
