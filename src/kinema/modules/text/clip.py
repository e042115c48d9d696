"""The text tower of CLIP: a causal transformer that is read at the end of the text.

As in OpenAI's and OpenCLIP's models and transformers' ``CLIPTextModel``. B rows, N positions, D hidden size.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError, InputError
from kinema.modules.encoder import Activation, PreNormLayer


@dataclass(frozen=True, kw_only=True)
class CLIPTextConfig:
    """Sizes and choices of a tower."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    max_positions: int = 77
    activation: Activation = "gelu"
    layer_norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads}."
            )


class CLIPText(nn.Module):
    """Token ids to hidden states, or to one vector a text."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = nn.Embedding(config.max_positions, config.hidden_size)
        self.layers = nn.ModuleList(
            PreNormLayer(
                config.hidden_size,
                config.intermediate_size,
                config.num_heads,
                config.activation,
                config.layer_norm_eps,
            )
            for _ in range(config.num_layers)
        )
        self.final_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """One vector a text: where the largest id stands first, which is the end of the text.

        The tokenizer may pad with that same id, and it often does. What follows the end is never seen by it,
        so the mask changes nothing here.

        Args:
            input_ids: (B, N), padded on the right.
            attention_mask: (B, N), non-zero where a token is real.

        Returns:
            (B, D).

        Raises:
            InputError: if a text is longer than the tower has positions, or the padding is on the left.
        """
        ends = input_ids.argmax(-1)  # (B,) the first of the largest
        return self.encode(input_ids, attention_mask)[torch.arange(len(ends), device=ends.device), ends]

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Hidden states after the final norm, (B, N, D); arguments and errors as for ``forward``."""
        states = self.hidden_states(input_ids, attention_mask)
        last = deque(states, maxlen=1).pop()  # those before it are let go on the way
        return self.final_norm(last)

    def hidden_states(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Iterator[Tensor]:
        """What enters the first layer, then what leaves each, before the final norm.

        Arguments and errors as for ``forward``.

        Yields:
            (B, N, D), one more than there are layers.
        """
        num_tokens = input_ids.shape[-1]
        if input_ids.ndim != 2 or not 0 < num_tokens <= self.config.max_positions:
            raise InputError(
                f"input_ids is {tuple(input_ids.shape)}; the text tower takes (texts, tokens) of 1 to "
                f"{self.config.max_positions} tokens. Cut longer texts, keeping the end token."
            )
        mask = None if attention_mask is None else _causal_mask(attention_mask)
        positions = self.position_embedding.weight[:num_tokens]
        hidden_states = self.token_embedding(input_ids) + positions
        yield hidden_states
        for layer in self.layers:
            hidden_states = layer(hidden_states, causal=True, mask=mask)
            yield hidden_states


def _causal_mask(attention_mask: Tensor) -> Tensor:
    """What each position sees, (B, N) -> (B, 1, N, N) bool."""
    real = attention_mask.bool()
    if not bool(real[:, 0].all()):
        raise InputError("attention_mask leaves out the first token of a text; pad on the right.")
    num_tokens = real.shape[1]
    earlier = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=real.device).tril()
    return (earlier & real[:, None])[:, None]
