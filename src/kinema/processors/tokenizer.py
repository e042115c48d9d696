"""Text to token ids and back, where a special token in a text is only characters.

A special token is asked for by name, so nothing that a user, a file name or a data set writes can open a
turn or stand for an image.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tokenizers import Tokenizer

from kinema.errors import InputError


class TokenSpan(NamedTuple):
    """A token and where in the text it begins."""

    token: int
    start: int
    """Index of a character; 0 too where it begins before the text, as a blank that a tokenizer puts there."""


class PromptTokenizer(Protocol):
    """What prompts are written with, whatever kind of tokenizer a family has."""

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included; an embedding may have more rows."""

    def has(self, token: str) -> bool:
        """Whether there is a token of exactly this text."""

    def special_id(self, token: str) -> int:
        """Id of a special token."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text; special tokens in it are ordinary characters."""

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Text of tokens, special tokens left out unless asked for."""


class TextTokenizer:
    """A tokenizer behind three questions: encode, decode, and the id of a special token.

    It takes the tokenizer over: settings of padding, truncation and special tokens are changed.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        # True means: encode their text as ordinary text.
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @property
    def backend(self) -> Tokenizer:
        """The tokenizer itself, to be saved."""
        return self._tokenizer

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included; an embedding may have more rows."""
        return self._tokenizer.get_vocab_size()

    def has(self, token: str) -> bool:
        """Whether there is a token of exactly this text."""
        return self._tokenizer.token_to_id(token) is not None

    def special_id(self, token: str) -> int:
        """Id of a special token.

        Raises:
            InputError: if the tokenizer has no such token.
        """
        token_id = self._tokenizer.token_to_id(token)
        if token_id is None:
            raise InputError(
                f"the tokenizer has no token {token!r}, which this prompt needs. Streams need an official "
                "checkpoint; otherwise tokenizer and compat mode do not belong together."
            )
        return int(token_id)

    def encode(self, text: str) -> list[int]:
        """Ids of a text; special tokens in it are ordinary characters."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Text of tokens, special tokens left out unless asked for."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens))
