"""Texts to the token ids that InternVL-C's text tower reads, which is a LLaMA. B texts, N positions."""

from collections.abc import Sequence

import torch

from kinema.errors import ConfigError
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.text_inputs import TextInputs, encode_texts

START, END = "<s>", "</s>"
PAD_ID = 0
PROMPT = "summarize:"
"""What stands before each text, as in the tower's training (arXiv 2312.14238)."""


class SummaryTokenizer:
    """``summarize:`` and a text between a start and an end token; longer texts lose their end."""

    def __init__(self, tokenizer: SentencePieceTokenizer, *, max_tokens: int = 80) -> None:
        """Take a tokenizer over.

        Args:
            tokenizer: of the language model.
            max_tokens: most tokens of a text, start and end included.

        Raises:
            ConfigError: if there is no room for start and end.
        """
        if max_tokens < 2:
            raise ConfigError(f"max_tokens must leave room for start and end, got {max_tokens}.")
        self.pieces, self.max_tokens = tokenizer, max_tokens
        self.start_id, self.end_id = tokenizer.special_id(START), tokenizer.special_id(END)

    def __call__(self, texts: Sequence[str]) -> TextInputs:
        """Ids of texts, as wide as the longest; cut, refused and warned of as by ``encode_texts``."""
        prompted = texts if isinstance(texts, str) else [PROMPT + text for text in texts]
        rows = encode_texts(self.pieces, prompted, most=self.max_tokens - 2)
        framed = [torch.tensor([self.start_id, *row, self.end_id]) for row in rows]
        input_ids = torch.nn.utils.rnn.pad_sequence(framed, batch_first=True, padding_value=PAD_ID)
        lengths = torch.tensor([len(row) for row in framed])
        return TextInputs(
            input_ids=input_ids, attention_mask=torch.arange(input_ids.shape[1]) < lengths[:, None]
        )
