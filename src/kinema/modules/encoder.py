"""What transformer encoders are built of: attention over a sequence, an MLP, and the two behind norms.

B rows, N tokens, D hidden size, A heads, d head size.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.modules.attention import attention
from kinema.modules.linear import Linear

Activation = Literal["gelu", "gelu_tanh", "quick_gelu"]
"""GELU by the error function, its tanh form, and OpenAI CLIP's x·sigmoid(1.702 x). Weights that were trained
with one are wrong with another: by up to 0.020 a value for the last, 0.0005 for the tanh form."""


def quick_gelu(x: Tensor) -> Tensor:
    """OpenAI CLIP's approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


class MLP(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, hidden_size: int, intermediate_size: int, activation: Activation) -> None:
        super().__init__()
        self.fc1 = Linear(hidden_size, intermediate_size)
        self.fc2 = Linear(intermediate_size, hidden_size)
        self.activation = _ACTIVATIONS[activation]

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.fc2(self.activation(self.fc1(hidden_states)))


class SelfAttention(nn.Module):
    """Multi-head attention with biases; query, key and value are one matrix."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = Linear(hidden_size, 3 * hidden_size)
        self.out = Linear(hidden_size, hidden_size)

    def forward(self, hidden_states: Tensor, *, causal: bool = False, mask: Tensor | None = None) -> Tensor:
        """Attend inside each row.

        Args:
            hidden_states: (B, N, D).
            causal: whether a token sees only itself and those before it.
            mask: (B | 1, 1, N, N) bool, what each token sees; takes the place of ``causal``.

        Returns:
            (B, N, D).
        """
        qkv = self.qkv(hidden_states).unflatten(-1, (3, self.num_heads, -1))  # (B, N, 3, A, d)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (B, A, N, d) each
        attended = attention(query, key, value, causal=causal, mask=mask)
        return self.out(attended.transpose(1, 2).flatten(2))


class PreNormLayer(nn.Module):
    """Attention and MLP, each behind a norm and added to what came in."""

    def __init__(
        self,
        hidden_size: int,
        intermediate_size: int,
        num_heads: int,
        activation: Activation,
        layer_norm_eps: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.attention = SelfAttention(hidden_size, num_heads)
        self.norm2 = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.mlp = MLP(hidden_size, intermediate_size, activation)

    def forward(self, hidden_states: Tensor, *, causal: bool = False, mask: Tensor | None = None) -> Tensor:
        """(B, N, D) -> (B, N, D); ``causal`` and ``mask`` as for ``SelfAttention``."""
        attended = self.attention(self.norm1(hidden_states), causal=causal, mask=mask)
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.norm2(hidden_states))


_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "quick_gelu": quick_gelu,
}
