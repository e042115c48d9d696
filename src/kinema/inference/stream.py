"""Tokens to text as they come: no half characters, nothing of a stop string."""

from collections.abc import Sequence
from typing import Protocol

_HALF_CHARACTER = "�"


class TextDecoder(Protocol):
    """The half of a tokenizer that writes."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of tokens, special tokens left out."""
        ...


class TextStream:
    """Turns one answer's tokens into pieces of text that are safe to show.

    A piece is held back while its last bytes are not a whole character, or while it may turn out to be the
    beginning of a stop string. All pieces together are the text of the tokens up to the first stop string.
    """

    def __init__(self, decoder: TextDecoder, stop: Sequence[str] = ()) -> None:
        self.stopped = False
        """Whether a stop string has come."""
        self._decoder = decoder
        self._stop = tuple(stop)
        self._ids: list[int] = []
        self._shown = ""  # text of _ids that was passed on, from which the next token's text is told apart
        self._held = ""  # may be the beginning of a stop string

    def push(self, token: int) -> str:
        """Take one token, return the text that can be shown now."""
        self._ids.append(token)
        text = self._decoder.decode(self._ids)
        if text.endswith(_HALF_CHARACTER):
            return ""
        return self._pass_on(text)

    def finish(self) -> str:
        """What was held back, when no more tokens come; bytes that are no character become U+FFFD."""
        if self.stopped:
            return ""
        piece = self._pass_on(self._decoder.decode(self._ids))
        held, self._held = self._held, ""
        return piece if self.stopped else piece + held

    def _pass_on(self, text: str) -> str:
        self._held += text[len(self._shown) :]
        self._forget_old(text)
        return self._release()

    def _forget_old(self, text: str) -> None:
        """Keep the last token only, as context: a decoder may drop a space before the very first."""
        last = self._ids[-1:]
        alone = self._decoder.decode(last)
        if alone and text.endswith(alone):
            self._ids, self._shown = last, alone
        else:
            self._shown = text

    def _release(self) -> str:
        ends = [at for at in (self._held.find(stop) for stop in self._stop) if at >= 0]
        if ends:
            self.stopped = True
            piece, self._held = self._held[: min(ends)], ""
            return piece
        keep = max((_overlap(self._held, stop) for stop in self._stop), default=0)
        cut = len(self._held) - keep
        piece, self._held = self._held[:cut], self._held[cut:]
        return piece


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` with which ``stop`` begins."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
