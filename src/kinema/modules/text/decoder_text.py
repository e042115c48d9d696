"""A language model's decoder as a text tower: read at the last token (InternVL-C, arXiv 2312.14238).

B texts, N positions, D hidden size.
"""

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError, InputError
from kinema.modules.language.decoder import Decoder, DecoderConfig


class DecoderText(nn.Module):
    """Token ids to one vector a text; there is no head that would guess the next token."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        if not config.tie_word_embeddings:
            raise ConfigError("a decoder that only reads has no head of its own; set tie_word_embeddings.")
        self.config = config
        self.decoder = Decoder(config)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """What the last real token has become, which has seen all others.

        Args:
            input_ids: (B, N), padded on the right; what stands there does not matter. attention_mask: (B, N),
            non-zero where a token is real; None where the padding is 0, as in training.

        Returns:
            (B, D).

        Raises:
            InputError: if a text is empty, or padded on the left.
        """
        hidden_states = self.encode(input_ids)
        real = input_ids > 0 if attention_mask is None else attention_mask.bool()
        ends = real.sum(1) - 1
        if bool((ends < 0).any()) or not bool(real.gather(1, ends[:, None]).all()):
            raise InputError("attention_mask must be of texts of at least one token, padded on the right.")
        return hidden_states[torch.arange(len(ends), device=ends.device), ends]

    def encode(self, input_ids: Tensor) -> Tensor:
        """Hidden states after the final norm, (B, N) -> (B, N, D); padding on the right is seen by no
        token."""
        positions = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        return self.decoder(self.decoder.embed(input_ids), positions)
