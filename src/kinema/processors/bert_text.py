"""Texts to the token ids that BERT reads. B texts, N positions."""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer

from kinema.errors import ConfigError
from kinema.processors.text_inputs import TextInputs, encode_texts
from kinema.processors.tokenizer import TextTokenizer

PAD, START, END, MASK = "[PAD]", "[CLS]", "[SEP]", "[MASK]"


class BertTokenizer:
    """Word pieces between a start and an end token; longer texts lose their end, shorter ones are padded."""

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int = 32) -> None:
        """Take a tokenizer over.

        Args:
            tokenizer: knows BERT's four special tokens.
            max_tokens: most tokens of a text, start and end included. InternVideo2 learned 32 (1B) and 40
                (6B); its evaluations read 32, longer texts with 64 (DiDeMo, MSVD) to 150 (ActivityNet).

        Raises:
            ConfigError: if the tokenizer lacks a special token, or there is no room for start and end.
        """
        self._text = TextTokenizer(tokenizer)
        missing = [token for token in (PAD, START, END, MASK) if not self._text.has(token)]
        if missing or max_tokens < 2:
            raise ConfigError(
                f"BERT's tokenizer needs {PAD}, {START}, {END} and {MASK} and max_tokens of 2 or more; "
                f"missing are {missing or 'none'}, and max_tokens is {max_tokens}."
            )
        self.max_tokens = max_tokens
        special = self._text.special_id
        self.pad_id, self.start_id, self.end_id, self.mask_id = map(special, (PAD, START, END, MASK))

    @property
    def backend(self) -> Tokenizer:
        """The tokenizer itself, to be saved."""
        return self._text.backend

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return self._text.vocab_size

    def __call__(self, texts: Sequence[str]) -> TextInputs:
        """Ids of texts, as wide as the longest; cut, refused and warned of as by ``encode_texts``."""
        rows = encode_texts(self._text, texts, most=self.max_tokens - 2)
        framed = [torch.tensor([self.start_id, *row, self.end_id]) for row in rows]
        input_ids = torch.nn.utils.rnn.pad_sequence(framed, batch_first=True, padding_value=self.pad_id)
        lengths = torch.tensor([len(row) for row in framed])
        return TextInputs(
            input_ids=input_ids, attention_mask=torch.arange(input_ids.shape[1]) < lengths[:, None]
        )
