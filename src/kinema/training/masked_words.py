"""Words that are hidden and to be guessed (BERT, arXiv 1810.04805). B texts, N positions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.errors import ConfigError
from kinema.training.losses import IGNORE_INDEX


@dataclass(frozen=True, kw_only=True)
class MaskedWords:
    """Texts with hidden words."""

    input_ids: Tensor
    """(B, N)."""
    labels: Tensor
    """(B, N), the hidden word, ``IGNORE_INDEX`` where nothing is to be guessed."""


@dataclass(frozen=True, kw_only=True)
class WordMasking:
    """How words are hidden; the ids are those of ``bert-large-uncased``."""

    ratio: float = 0.5
    """Of the words that are to be guessed: as in every released config of InternVideo2, where 0.15 is
    customary. Of them 80 % are replaced by the mask, 10 % by any word, and 10 % stay."""
    vocab_size: int = 30522
    pad_id: int = 0
    start_id: int = 101
    mask_id: int = 103

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ConfigError(f"the ratio of masked words must be above 0 and at most 1, got {self.ratio}.")

    def __call__(self, input_ids: Tensor, *, generator: torch.Generator | None = None) -> MaskedWords:
        """Hide words, but never the start token or padding.

        Args:
            input_ids: (B, N).
            generator: draws, on the CPU; None for torch's own.
        """
        shape, device = input_ids.shape, input_ids.device
        chance, kind = (torch.rand(shape, generator=generator).to(device) for _ in range(2))
        words = torch.randint(self.vocab_size, shape, generator=generator).to(device)
        hidden = (chance < self.ratio) & (input_ids != self.pad_id) & (input_ids != self.start_id)
        replaced = torch.where(kind < 0.8, self.mask_id, torch.where(kind < 0.9, words, input_ids))
        return MaskedWords(
            input_ids=torch.where(hidden, replaced, input_ids),
            labels=torch.where(hidden, input_ids, IGNORE_INDEX),
        )
