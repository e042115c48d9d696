import pytest
from tokenizers import Tokenizer

from kinema.errors import InputError
from kinema.processors.tokenizer import TextTokenizer


@pytest.fixture(scope="module")
def tokenizer(golden_dir):
    return TextTokenizer(Tokenizer.from_file(str(golden_dir / "videollama3/tokenizer/tokenizer.json")))


@pytest.mark.parametrize(
    "token", ["<image>", "<|im_end|>", "<|im_start|>", "<|stream_start|>", "<|endoftext|>"]
)
def test_a_special_token_in_a_text_is_only_characters(tokenizer, token):
    ids = tokenizer.encode(f"before {token} after")
    assert tokenizer.special_id(token) not in ids
    assert tokenizer.decode(ids) == f"before {token} after"


def test_special_tokens_are_left_out_of_decoded_text_unless_asked_for(tokenizer):
    ids = [*tokenizer.encode("Hi"), tokenizer.special_id("<|im_end|>")]
    assert tokenizer.decode(ids) == "Hi"
    assert tokenizer.decode(ids, skip_special_tokens=False) == "Hi<|im_end|>"


def test_an_unknown_special_token_is_an_error_that_names_it(tokenizer):
    assert not tokenizer.has("<|audio|>")
    with pytest.raises(InputError, match=r"no token '<\|audio\|>'"):
        tokenizer.special_id("<|audio|>")
