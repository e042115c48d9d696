"""A transformer layer with normed queries and keys, and residuals scaled by channel.

That of InternVideo2 (arXiv 2403.15377) and of InternViT-6B (arXiv 2312.14238).
Joint attention over space and time: every token of a clip sees every other. Clips lie end to end in a pack,
so that clips of different sizes go through together. P packed tokens, D hidden size, A heads, d head size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kinema.modules.attention import packed_attention
from kinema.modules.encoder import MLP
from kinema.modules.linear import Linear

RMS_NORM_EPS = 1e-6


class SpaceTimeBlock(nn.Module):
    """Attention and MLP, each behind an RMS norm, scaled by channel, and added to what came in."""

    def __init__(
        self,
        hidden_size: int,
        intermediate_size: int,
        num_heads: int,
        *,
        layer_scale: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(hidden_size, eps=RMS_NORM_EPS)
        self.attention = NormedSelfAttention(hidden_size, num_heads)
        self.scale1 = nn.Parameter(torch.full((hidden_size,), layer_scale))
        self.norm2 = nn.RMSNorm(hidden_size, eps=RMS_NORM_EPS)
        self.mlp = MLP(hidden_size, intermediate_size, "gelu")
        self.scale2 = nn.Parameter(torch.full((hidden_size,), layer_scale))
        self.drop_path = drop_path

    def forward(self, hidden_states: Tensor, lengths: Sequence[int]) -> Tensor:
        """(P, D) -> (P, D); ``lengths`` are the tokens of each clip, P in sum."""
        attended = self.scale1 * self.attention(self.norm1(hidden_states), lengths)
        hidden_states = hidden_states + self._drop(attended, lengths)
        return hidden_states + self._drop(self.scale2 * self.mlp(self.norm2(hidden_states)), lengths)

    def _drop(self, branch: Tensor, lengths: Sequence[int]) -> Tensor:
        """In training, leave a branch out of some clips and make up for it in others (arXiv 1603.09382)."""
        if not self.training or self.drop_path == 0:
            return branch
        kept = torch.rand(len(lengths), device=branch.device) >= self.drop_path
        factors = kept.to(branch.dtype) / (1 - self.drop_path)
        repeats = torch.tensor(lengths, device=branch.device)
        return branch * factors.repeat_interleave(repeats, output_size=len(branch))[:, None]


class NormedSelfAttention(nn.Module):
    """Multi-head attention whose queries and keys are RMS-normed over all heads together."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = Linear(hidden_size, 3 * hidden_size, bias=False)
        self.query_norm = nn.RMSNorm(hidden_size, eps=RMS_NORM_EPS)
        self.key_norm = nn.RMSNorm(hidden_size, eps=RMS_NORM_EPS)
        self.out = Linear(hidden_size, hidden_size)

    def forward(self, hidden_states: Tensor, lengths: Sequence[int]) -> Tensor:
        """(P, D) -> (P, D), each clip on its own."""
        query, key, value = self.qkv(hidden_states).chunk(3, dim=-1)  # (P, D) each
        normed = self.query_norm(query), self.key_norm(key), value
        query, key, value = (x.unflatten(-1, (self.num_heads, -1)) for x in normed)  # (P, A, d)
        return self.out(packed_attention(query, key, value, lengths).flatten(1))
