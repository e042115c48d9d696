"""Several texts as token ids, whichever text encoder reads them. B texts, N positions."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.errors import InputError, ModelWarning
from kinema.processors.tokenizer import PromptTokenizer


@dataclass(frozen=True, kw_only=True)
class TextInputs:
    """Several texts for a text encoder."""

    input_ids: Tensor
    """(B, N) int64, padded on the right."""
    attention_mask: Tensor
    """(B, N) bool, True where a token is real."""

    def to(self, device: torch.device | str) -> "TextInputs":
        """The same on a device."""
        return TextInputs(input_ids=self.input_ids.to(device), attention_mask=self.attention_mask.to(device))

    def shortened(self) -> "TextInputs":
        """As wide as the longest text: what follows is padding in all of them."""
        longest = int(self.attention_mask.sum(-1).max())
        return TextInputs(
            input_ids=self.input_ids[:, :longest], attention_mask=self.attention_mask[:, :longest]
        )


def check_texts(texts: Sequence[str]) -> None:
    """Refuse what is no list of strings.

    Raises:
        InputError: if no text is given, one string instead of several, or something that is no string.
    """
    if isinstance(texts, str) or len(texts) == 0:
        raise InputError(f"texts must be a list of at least one string, got {texts!r}.")
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"a text must be a string, got {type(text).__name__}: {text!r}.")


def encode_texts(tokenizer: PromptTokenizer, texts: Sequence[str], *, most: int) -> list[list[int]]:
    """Ids of texts without start and end; what looks like a special token in them is ordinary characters.

    Args:
        tokenizer: of the encoder.
        texts: at least one.
        most: tokens of a text that are kept.

    Raises:
        InputError: as ``check_texts``.

    Warns:
        ModelWarning: once, if texts have more tokens; their ends are left out.
    """
    check_texts(texts)
    rows = [tokenizer.encode(text) for text in texts]
    too_long = [text for text, row in zip(texts, rows, strict=True) if len(row) > most]
    if too_long:
        warnings.warn(
            f"{len(too_long)} of {len(texts)} texts have over {most} tokens; their ends are left out, as "
            f"of {too_long[0][:40]!r}.",
            ModelWarning,
            stacklevel=3,
        )
    return [row[:most] for row in rows]
