import pytest
from bert_vocabulary import PIECES, small_tokenizer
from tokenizers import Tokenizer, models

from kinema.errors import ConfigError, InputError, ModelWarning
from kinema.processors.bert_text import BertTokenizer


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    return small_tokenizer(tmp_path_factory.mktemp("vocabulary"))


def ids(*pieces):
    return [PIECES.index(piece) for piece in pieces]


def test_texts_stand_between_start_and_end_and_are_as_wide_as_the_longest(backend):
    inputs = BertTokenizer(backend)(["The DOG barks", "a zebra"])
    assert inputs.input_ids.tolist() == [
        ids("[CLS]", "the", "dog", "bark", "##s", "[SEP]"),
        ids("[CLS]", "a", "[UNK]", "[SEP]", "[PAD]", "[PAD]"),
    ]
    assert inputs.attention_mask.long().tolist() == [[1] * 6, [1] * 4 + [0] * 2]


def test_a_long_text_keeps_its_end_token_and_says_so(backend):
    with pytest.warns(ModelWarning, match="1 of 1 texts have over 2 tokens"):
        inputs = BertTokenizer(backend, max_tokens=4)(["a cat barks"])
    assert inputs.input_ids.tolist() == [ids("[CLS]", "a", "cat", "[SEP]")]


def test_a_special_token_in_a_text_is_ordinary_characters(backend):
    inputs = BertTokenizer(backend)(["a [MASK]"])
    assert inputs.input_ids.tolist() == [ids("[CLS]", "a", "[", "mask", "]", "[SEP]")]


def test_an_empty_text_is_start_and_end(backend):
    assert BertTokenizer(backend)([""]).input_ids.tolist() == [ids("[CLS]", "[SEP]")]


@pytest.mark.parametrize("texts", [[], "a cat"])
def test_no_text_and_a_lone_string_are_refused(backend, texts):
    with pytest.raises(InputError, match="list of at least one string"):
        BertTokenizer(backend)(texts)


def test_a_tokenizer_without_the_tokens_of_bert_is_refused():
    with pytest.raises(ConfigError, match=r"missing are \['\[PAD\]'"):
        BertTokenizer(Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]")))


def test_no_room_for_start_and_end_is_refused(backend):
    with pytest.raises(ConfigError, match="max_tokens is 1"):
        BertTokenizer(backend, max_tokens=1)
