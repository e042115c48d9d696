"""A Q-Former (BLIP-2, arXiv 2301.12597): learned queries that look at tokens and stand for all of them.

As in VideoChat2 and InternVideo2's chat model (OpenGVLab/Ask-Anything): BERT in which every second layer
looks at the memory, queries and text attend to one another, and each of them has an MLP of its own.

B rows, Q queries, N text positions, M tokens of a memory, D hidden size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError, InputError
from kinema.modules.encoder import MLP, SelfAttention
from kinema.modules.text.bert import CrossAttention, key_mask


@dataclass(frozen=True, kw_only=True)
class QFormerConfig:
    """Sizes; the defaults are those of the released chat models."""

    memory_size: int
    """Width of the tokens it looks at."""
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_layers: int = 12
    num_heads: int = 12
    num_queries: int = 32
    num_extra_queries: int = 64
    """Queries that instruction tuning added behind those of the alignment before."""
    cross_attention_every: int = 2
    """The first of so many layers looks at the memory."""
    vocab_size: int = 30523
    """Of instructions: BERT's words, and one more."""
    max_positions: int = 512
    layer_norm_eps: float = 1e-12

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads}."
            )
        if self.num_queries + self.num_extra_queries < 1 or self.cross_attention_every < 1:
            raise ConfigError("a Q-Former needs a query, and looks at its memory every 1 or more layers.")

    @property
    def num_tokens(self) -> int:
        """Q, of all queries: what every memory becomes."""
        return self.num_queries + self.num_extra_queries


class QFormer(nn.Module):
    """Tokens of a memory to as many as there are queries."""

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.queries = nn.Parameter(0.02 * torch.randn(config.num_queries, width))
        self.extra_queries = nn.Parameter(0.02 * torch.randn(config.num_extra_queries, width))
        self.word = nn.Embedding(config.vocab_size, width)
        self.position = nn.Embedding(config.max_positions, width)
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.layers = nn.ModuleList(
            QFormerLayer(config, has_cross_attention=index % config.cross_attention_every == 0)
            for index in range(config.num_layers)
        )

    def forward(
        self, memory: Tensor, input_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """What the queries find.

        Args:
            memory: (B, M, memory_size).
            input_ids: (B, N), an instruction for what to look; the published models are better without.
            attention_mask: (B, N), non-zero where a token of it is real; padding may stand on either side.

        Returns:
            (B, Q, D).

        Raises:
            InputError: if an instruction is longer than there are positions, or comes without its mask.
        """
        queries = torch.cat([self.queries, self.extra_queries]).expand(len(memory), -1, -1)
        if input_ids is None:
            states, mask = self.norm(queries), None
        else:
            words = self._embed(input_ids)
            states = self.norm(torch.cat([queries, words], dim=1))
            mask = self._mask(attention_mask, len(memory))
        for layer in self.layers:
            states = layer(states, memory, self.config.num_tokens, mask)
        return states[:, : self.config.num_tokens]

    def _embed(self, input_ids: Tensor) -> Tensor:
        num_tokens, most = input_ids.shape[-1], self.config.max_positions
        if input_ids.ndim != 2 or num_tokens > most:
            raise InputError(
                f"an instruction is (B, N) of at most {most} tokens, got {tuple(input_ids.shape)}."
            )
        return self.word(input_ids) + self.position.weight[:num_tokens]

    def _mask(self, attention_mask: Tensor | None, batch: int) -> Tensor:
        if attention_mask is None:
            raise InputError("an instruction needs its attention_mask, which says what is padding.")
        queries = attention_mask.new_ones(batch, self.config.num_tokens)
        return key_mask(torch.cat([queries, attention_mask], dim=1))


class QFormerLayer(nn.Module):
    """Self-attention of queries and text; then queries look at the memory; then an MLP for each of them."""

    def __init__(self, config: QFormerConfig, *, has_cross_attention: bool) -> None:
        super().__init__()
        width, inner, eps = config.hidden_size, config.intermediate_size, config.layer_norm_eps
        self.attention = SelfAttention(width, config.num_heads)
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.cross_attention = None
        if has_cross_attention:
            self.cross_attention = CrossAttention(width, config.memory_size, config.num_heads)
            self.cross_norm = nn.LayerNorm(width, eps=eps)
        self.query_mlp = MLP(width, inner, "gelu")
        self.query_norm = nn.LayerNorm(width, eps=eps)
        self.text_mlp = MLP(width, inner, "gelu")
        self.text_norm = nn.LayerNorm(width, eps=eps)

    def forward(self, states: Tensor, memory: Tensor, num_queries: int, mask: Tensor | None) -> Tensor:
        """(B, Q + N, D) -> (B, Q + N, D), the queries first."""
        states = self.norm1(states + self.attention(states, mask=mask))
        queries, words = states[:, :num_queries], states[:, num_queries:]
        if self.cross_attention is not None:
            queries = self.cross_norm(queries + self.cross_attention(queries, memory))
        queries = self.query_norm(queries + self.query_mlp(queries))
        if words.shape[1] == 0:
            return queries
        return torch.cat([queries, self.text_norm(words + self.text_mlp(words))], dim=1)
