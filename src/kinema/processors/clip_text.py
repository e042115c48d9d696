"""Texts to the token ids that a CLIP text tower reads. B texts, N positions."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from kinema.errors import ConfigError, InputError, ModelWarning
from kinema.processors.tokenizer import TextTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"


@dataclass(frozen=True, kw_only=True)
class TextInputs:
    """Several texts for a text tower."""

    input_ids: Tensor
    """(B, N) int64, padded on the right with the end token."""
    attention_mask: Tensor
    """(B, N) bool, True through the first end token."""

    def shortened(self) -> "TextInputs":
        """As wide as the longest text: a causal tower that is read at the end token sees no difference."""
        longest = int(self.attention_mask.sum(-1).max())
        return TextInputs(
            input_ids=self.input_ids[:, :longest], attention_mask=self.attention_mask[:, :longest]
        )


class CLIPTokenizer:
    """Lower-cased text between a start and an end token, cut and padded to the positions of a tower."""

    def __init__(self, tokenizer: Tokenizer, *, num_positions: int = 77) -> None:
        """Take a tokenizer over.

        Args:
            tokenizer: knows CLIP's start and end token.
            num_positions: N, both of these tokens included.

        Raises:
            ConfigError: if the tokenizer lacks one of the two, or there is no room for them.
        """
        self._text = TextTokenizer(tokenizer)
        missing = [token for token in (START, END) if not self._text.has(token)]
        if missing or num_positions < 2:
            raise ConfigError(
                f"a CLIP tokenizer needs {START} and {END} and 2 positions or more; "
                f"missing are {missing or 'none'}, and positions are {num_positions}."
            )
        self.start_id, self.end_id = self._text.special_id(START), self._text.special_id(END)
        self.num_positions = num_positions

    @property
    def backend(self) -> Tokenizer:
        """The tokenizer itself, to be saved."""
        return self._text.backend

    def __call__(self, texts: Sequence[str]) -> TextInputs:
        """Ids of texts; what looks like a special token in them is ordinary characters.

        Raises:
            InputError: if no text is given, or one string instead of several.

        Warns:
            ModelWarning: once, if texts are longer than the tower; their ends are left out.
        """
        if isinstance(texts, str) or len(texts) == 0:
            raise InputError(f"texts must be a list of at least one string, got {texts!r}.")
        rows = [self._text.encode(text) for text in texts]
        room = self.num_positions - 2
        too_long = [text for text, row in zip(texts, rows, strict=True) if len(row) > room]
        if too_long:
            warnings.warn(
                f"{len(too_long)} of {len(texts)} texts have over {room} tokens; their ends are left out, as "
                f"of {too_long[0][:40]!r}.",
                ModelWarning,
                stacklevel=2,
            )
        lengths = torch.tensor([min(len(row), room) + 2 for row in rows])
        input_ids = torch.full((len(rows), self.num_positions), self.end_id)
        for index, row in enumerate(rows):
            kept = torch.tensor([self.start_id, *row[:room]])
            input_ids[index, : len(kept)] = kept
        return TextInputs(
            input_ids=input_ids, attention_mask=torch.arange(self.num_positions) < lengths[:, None]
        )
