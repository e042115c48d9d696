"""One vector of many tokens, by attention with their mean as the query (InternVideo2, arXiv 2403.15377).

B clips, N tokens, D hidden size, A heads, d head size.
"""

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.modules.linear import Linear

NUM_HEADS = 16
"""Of every published size."""


class AttentionPool(nn.Module):
    """Cross-attention of a single query, with a norm for what each of query, key and value is made of.

    A single query needs no key and value of every token: it is carried through the key matrix instead, and
    the attended sums of tokens through the value matrix. The formula is the published one in another order.
    """

    def __init__(self, hidden_size: int, pooled_size: int) -> None:
        super().__init__()
        if hidden_size % NUM_HEADS:
            raise ConfigError(
                f"attention pooling needs a hidden_size that {NUM_HEADS} divides, got {hidden_size}."
            )
        self.query_norm = nn.LayerNorm(hidden_size)
        self.key_norm = nn.LayerNorm(hidden_size)
        self.value_norm = nn.LayerNorm(hidden_size)
        self.query = Linear(hidden_size, hidden_size)
        self.key = Linear(hidden_size, hidden_size)
        self.value = Linear(hidden_size, hidden_size)
        self.out = Linear(hidden_size, pooled_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, D) -> (B, pooled size)."""
        return self.attend(tokens)[0]

    def attend(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled vectors, (B, pooled size), and how much each token counted, (B, N): the mean over heads."""
        query = _heads(self.query(self.query_norm(tokens.mean(1))))  # (B, A, d)
        directions = torch.einsum("bad,adc->bac", query, _head_matrices(self.key))  # (B, A, D)
        scores = directions @ self.key_norm(tokens).mT  # (B, A, N)
        scores = scores + (query * _heads(self.key.bias)).sum(-1, keepdim=True)
        weights = (scores * query.shape[-1] ** -0.5).softmax(-1)
        sums = weights @ self.value_norm(tokens)  # (B, A, D)
        value = torch.einsum("bac,adc->bad", sums, _head_matrices(self.value)) + _heads(self.value.bias)
        return self.out(value.flatten(1)), weights.mean(1)


def _heads(vectors: Tensor) -> Tensor:
    """(..., D) -> (..., A, d)."""
    return vectors.unflatten(-1, (NUM_HEADS, -1))


def _head_matrices(layer: nn.Linear) -> Tensor:
    """Rows of a weight by head, (A, d, D)."""
    return layer.weight.unflatten(0, (NUM_HEADS, -1))
