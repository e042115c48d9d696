from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from kinema.inference.stream import TextStream


class Letters:
    """A decoder with a token a byte."""

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode("utf-8", errors="replace")


def pieces(text: str, stop: Sequence[str] = ()) -> list[str]:
    stream, shown = TextStream(Letters(), stop), []
    for byte in text.encode():
        shown.append(stream.push(byte))
        if stream.stopped:
            break
    return [*shown, stream.finish()]


def test_a_character_of_several_bytes_is_shown_whole():
    assert pieces("aé猫") == ["a", "", "é", "", "", "猫", ""]


def test_bytes_that_never_become_a_character_are_shown_at_the_end():
    stream = TextStream(Letters())
    assert [stream.push(byte) for byte in b"a\xe7\x8c"] == ["a", "", ""]
    assert stream.finish() == "\ufffd"


def test_nothing_of_a_stop_string_is_shown():
    assert pieces("yes\nUser: no", stop=["\nUser:"]) == ["y", "e", "s", "", "", "", "", "", "", ""]


def test_the_beginning_of_a_stop_string_is_shown_when_it_goes_on_otherwise():
    assert pieces("a\nb", stop=["\nUser:"]) == ["a", "", "\nb", ""]


def test_the_beginning_of_a_stop_string_is_shown_when_the_text_ends():
    assert pieces("a\nUs", stop=["\nUser:"]) == ["a", "", "", "", "\nUs"]


def test_a_stop_string_inside_one_token_cuts_it():
    class Words:
        def decode(self, ids: Sequence[int]) -> str:
            return "".join(["one. ", "two. three."][token] for token in ids)

    stream = TextStream(Words(), stop=[". t", ". "])
    assert [stream.push(0), stream.stopped] == ["one", True]
    stream = TextStream(Words(), stop=["three"])
    assert [stream.push(0), stream.push(1), stream.finish()] == ["one. ", "two. ", ""]


def test_a_decoder_that_drops_the_first_space_keeps_the_others():
    class SentencePiece:
        def decode(self, ids: Sequence[int]) -> str:
            return "".join([" one", " two"][token] for token in ids).removeprefix(" ")

    stream = TextStream(SentencePiece())
    assert [stream.push(0), stream.push(1), stream.push(0), stream.finish()] == ["one", " two", " one", ""]


@given(st.text(max_size=30), st.text(alphabet="ab", min_size=1, max_size=3))
def test_all_pieces_together_are_the_text_before_the_first_stop(text: str, stop: str):
    assert "".join(pieces(text, stop=[stop])) == text.split(stop)[0]


@pytest.mark.parametrize("text", ["The cat walks.", "Zwölf Boxkämpfer 🐈‍⬛ 猫が歩く", " a  b\n\n"])
def test_a_real_tokenizer_streams_what_it_decodes(golden_dir, text):
    tokenizer = Tokenizer.from_file(str(golden_dir / "videollama3/tokenizer/tokenizer.json"))
    stream = TextStream(tokenizer)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    shown = [stream.push(token) for token in ids]
    assert "".join(shown) == tokenizer.decode(ids) == text
    assert not any("\ufffd" in piece for piece in shown)
