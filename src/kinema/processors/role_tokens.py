"""Prompts of words to token ids: what stands between two special tokens is encoded in one go.

SentencePiece cuts a text by what stands around it, so turns cannot be encoded one by one and put together.
They are encoded together, and the place of each token says whose it is.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import NamedTuple, Protocol

from kinema.processors.chat import Control, EncodedTurn, Piece, Placeholders, Turn
from kinema.processors.tokenizer import PromptTokenizer, TokenSpan

SPECIAL_STRINGS = ("<s>", "</s>", "<unk>")
"""What the original's tokenizer takes for special tokens wherever it stands, in a user's words too."""

_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL_STRINGS)) + ")")


class SpanTokenizer(PromptTokenizer, Protocol):
    """A tokenizer that says where its tokens stand."""

    def encode_spans(self, text: str, *, after_special: bool = False) -> list[TokenSpan]:
        """Ids of a text and where each begins; ``after_special``: it follows a special token."""


def encode_role_turns(turns: Sequence[Turn], tokenizer: SpanTokenizer) -> list[EncodedTurn]:
    """Token ids of each turn; put end to end they are the ids of the whole prompt.

    A token that begins before a turn and ends in it belongs to the turn before, so that only what a speaker
    says is labelled as theirs. An opening of several pieces, ``<|im_start|>assistant``, is encoded apart from
    what follows, as it is when an answer is still to be written.
    """
    growing = [_Growing() for _ in turns]
    texts: list[_Text] = []
    is_first = True  # nothing but the token that begins the prompt was written
    after_special = False

    def write_texts() -> None:
        for text, span in _encode_together(texts, tokenizer, after_special=after_special):
            growing[text.turn].add(span.token, is_header=text.is_header)
        texts.clear()

    for number, turn in enumerate(turns):
        for place, piece in enumerate(turn.pieces):
            is_header = place < turn.num_opening
            if place == turn.num_opening > 1:
                write_texts()
            if isinstance(piece, str):
                texts.append(_Text(piece, number, is_header))
                continue
            write_texts()
            token, count = tokenizer.special_id(piece.token), getattr(piece, "num_tokens", 1)
            is_visual = isinstance(piece, Placeholders)
            for _ in range(count):
                growing[number].add(token, is_header=is_header, is_visual=is_visual)
            after_special, is_first = isinstance(piece, Control) and not is_first, False
    write_texts()
    return [
        EncodedTurn(turn.role, tuple(own.ids), tuple(own.is_visual), own.header_length, footer_length=0)
        for turn, own in zip(turns, growing, strict=True)
    ]


def read_special_strings(turns: Sequence[Turn]) -> list[Turn]:
    """Turns in which ``</s>`` and the like are special tokens whoever writes them, as for the original."""
    return [replace(turn, pieces=tuple(_with_specials(turn.pieces))) for turn in turns]


def split_special_strings(text: str) -> list[str | Control]:
    """A text as the original reads it: words, and special tokens where there are their names."""
    return [Control(part) if part in SPECIAL_STRINGS else part for part in _SPECIAL.split(text) if part]


def _with_specials(pieces: Sequence[Piece]) -> Iterator[Piece]:
    yield from pieces[:1]  # the opening is the template's
    for piece in pieces[1:]:
        if isinstance(piece, str):
            yield from split_special_strings(piece)
        else:
            yield piece


class _Text(NamedTuple):
    """A text piece and where it belongs."""

    text: str
    turn: int
    is_header: bool


@dataclass
class _Growing:
    """A turn as it is encoded."""

    ids: list[int] = field(default_factory=list)
    is_visual: list[bool] = field(default_factory=list)
    header_length: int = 0

    def add(self, token: int, *, is_header: bool, is_visual: bool = False) -> None:
        self.ids.append(token)
        self.is_visual.append(is_visual)
        self.header_length += is_header


def _encode_together(
    texts: Sequence[_Text], tokenizer: SpanTokenizer, *, after_special: bool
) -> Iterator[tuple[_Text, TokenSpan]]:
    """Each token with the text in which it begins; texts without a character get none."""
    filled = [text for text in texts if text.text]
    if not filled:
        return
    ends = list(accumulate(len(text.text) for text in filled))
    whole = "".join(text.text for text in filled)
    for span in tokenizer.encode_spans(whole, after_special=after_special):
        yield filled[min(bisect_right(ends, span.start), len(filled) - 1)], span
