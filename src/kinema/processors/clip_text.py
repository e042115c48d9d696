"""Texts to the token ids that a CLIP text tower reads. B texts, N positions."""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer

from kinema.errors import ConfigError
from kinema.processors.text_inputs import TextInputs, encode_texts
from kinema.processors.tokenizer import TextTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"


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
        """Ids of texts, padded with the end token; cut, refused and warned of as by ``encode_texts``."""
        rows = encode_texts(self._text, texts, most=self.num_positions - 2)
        input_ids = torch.full((len(rows), self.num_positions), self.end_id)
        for index, row in enumerate(rows):
            input_ids[index, : len(row) + 1] = torch.tensor([self.start_id, *row])
        lengths = torch.tensor([len(row) + 2 for row in rows])
        return TextInputs(
            input_ids=input_ids, attention_mask=torch.arange(self.num_positions) < lengths[:, None]
        )
