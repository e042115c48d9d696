"""A decoder of text: Qwen2, Llama, Vicuna, Mistral and InternLM2 are fields of one config.

B rows, N positions, D hidden size, A heads, d head size, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import ConfigError
from kinema.modules.attention import attention, packed_attention, windowed_mask
from kinema.modules.language.cache import KeyValueCache
from kinema.modules.linear import Linear, linear
from kinema.modules.rope import apply_rope, rotation, text_angles


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes and choices of a decoder."""

    vocab_size: int
    """Rows of the embedding, which may be more than the tokenizer has."""
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_positions: int
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    attention_bias: bool = False
    """Biases of q, k and v: Qwen2 has them, Llama and Mistral do not. The output has none in any."""
    tie_word_embeddings: bool = False
    sliding_window: int | None = None
    """Positions a token looks back (Mistral 0.1); None for all."""

    def __post_init__(self) -> None:
        if self.num_heads % self.num_kv_heads:
            raise ConfigError(
                f"num_heads {self.num_heads} must be a multiple of num_kv_heads {self.num_kv_heads}."
            )


class Decoder(nn.Module):
    """A causal transformer with rotary positions, grouped heads and a gated MLP."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, index) for index in range(config.num_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.lm_head = None
        if not config.tie_word_embeddings:
            self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)

    def embed(self, input_ids: Tensor) -> Tensor:
        """(B, N) -> (B, N, D)."""
        return self.embed_tokens(input_ids)

    def forward(
        self,
        inputs_embeds: Tensor,
        position_ids: Tensor,
        *,
        cache: KeyValueCache | None = None,
        segment_lengths: Sequence[int] | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Hidden states after the final norm.

        Padding on the right needs no mask: no real token looks at it. What stands in padding is of no use.

        Args:
            inputs_embeds: (B, N, D).
            position_ids: (B, N).
            cache: keys and values of earlier positions; the new ones are appended.
            segment_lengths: lengths of samples packed into a single row, between which nothing is seen.
            attention_mask: (B, N) bool, False at padding; only padding on the left makes a difference, and
                it has no place in a cache.

        Returns:
            (B, N, D).
        """
        if attention_mask is not None and attention_mask[:, 0].all():
            attention_mask = None
        if attention_mask is not None and cache is not None:
            raise ValueError(
                "rows that are padded on the left cannot be read into a cache; pad on the right."
            )
        if segment_lengths is not None and (cache is not None or len(inputs_embeds) != 1):
            raise ValueError("segment_lengths packs samples into a batch of one row, without a cache.")
        cos, sin = rotation(text_angles(position_ids, self.config.head_dim, self.config.rope_theta))
        cos, sin = cos[:, None], sin[:, None]  # (B, 1, N, d/2)
        mask = self._mask(inputs_embeds, cache, segment_lengths)
        if attention_mask is not None:
            mask = _without_padding(mask, attention_mask)
        hidden_states = inputs_embeds
        for layer in self.layers:
            hidden_states = layer(hidden_states, cos, sin, mask, cache, segment_lengths)
        return self.norm(hidden_states)

    def logits(self, hidden_states: Tensor) -> Tensor:
        """(..., D) -> (..., V)."""
        if self.lm_head is None:
            return linear(hidden_states, self.embed_tokens.weight)
        logits: Tensor = self.lm_head(hidden_states)
        return logits

    def _mask(
        self, inputs_embeds: Tensor, cache: KeyValueCache | None, segment_lengths: Sequence[int] | None
    ) -> Tensor | None:
        """What each new position sees, (B | 1, 1, N, L + N) bool; None for the kernel's own causal rule, and
        for packs, whose segments have masks of their own."""
        num_new, device = inputs_embeds.shape[1], inputs_embeds.device
        num_held = 0 if cache is None else cache.length
        row_mask = None if cache is None else cache.row_mask
        if segment_lengths is not None:
            return None
        window = self.config.sliding_window or num_held + num_new
        windowed = num_held + num_new > window
        if row_mask is None and not windowed and (num_held == 0 or num_new == 1):
            return None
        positions = torch.arange(num_held, num_held + num_new, device=device)
        mask = windowed_mask(positions, num_held + num_new, window)  # (N, L + N)
        if row_mask is not None:
            mask = mask & row_mask[:, None]  # (B, N, L + N)
        return mask[:, None] if mask.ndim == 3 else mask[None, None]


def _without_padding(mask: Tensor | None, is_real: Tensor) -> Tensor:
    """What each position sees of a batch with padding, (B, 1, N, N) bool; padding sees itself, not nothing.

    Args:
        mask: (1, 1, N, N) bool; None for all before it.
        is_real: (B, N) bool.
    """
    num_positions = is_real.shape[1]
    itself = torch.eye(num_positions, dtype=torch.bool, device=is_real.device)
    causal = torch.ones_like(itself).tril() if mask is None else mask[0, 0]
    return (causal & is_real[:, None] | itself)[:, None]


class DecoderLayer(nn.Module):
    """Pre-norm attention and gated MLP."""

    def __init__(self, config: DecoderConfig, index: int) -> None:
        super().__init__()
        self.input_norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.attention = CausalSelfAttention(config, index)
        self.post_attention_norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mlp = GatedMLP(config.hidden_size, config.intermediate_size)

    def forward(
        self,
        hidden_states: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        cache: KeyValueCache | None,
        segment_lengths: Sequence[int] | None,
    ) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        normed = self.input_norm(hidden_states)
        hidden_states = hidden_states + self.attention(normed, cos, sin, mask, cache, segment_lengths)
        return hidden_states + self.mlp(self.post_attention_norm(hidden_states))


class CausalSelfAttention(nn.Module):
    """Attention with rotary positions, in which groups of query heads share a key head."""

    def __init__(self, config: DecoderConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.head_dim, self.window = config.head_dim, config.sliding_window
        self.num_heads, self.num_kv_heads = config.num_heads, config.num_kv_heads
        num_rows = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
        self.qkv = Linear(config.hidden_size, num_rows, bias=config.attention_bias)
        self.out = Linear(config.num_heads * config.head_dim, config.hidden_size, bias=False)

    def forward(
        self,
        hidden_states: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        cache: KeyValueCache | None,
        segment_lengths: Sequence[int] | None,
    ) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        heads = self.qkv(hidden_states).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        turned, value = heads.split((self.num_heads + self.num_kv_heads, self.num_kv_heads), dim=1)
        query, key = apply_rope(turned, cos, sin).split((self.num_heads, self.num_kv_heads), dim=1)
        if segment_lengths is not None:
            query, key, value = (x[0].transpose(0, 1) for x in (query, key, value))  # (N, A, d)
            attended = packed_attention(query, key, value, segment_lengths, causal=True, window=self.window)[
                None
            ]
        else:
            if cache is not None:
                key, value = cache.update(self.index, key, value)
            causal = query.shape[2] > 1
            attended = attention(query, key, value, causal=causal, mask=mask).transpose(1, 2)  # (B, N, A, d)
        return self.out(attended.flatten(2))


class GatedMLP(nn.Module):
    """SiLU of a gate times a projection, and back; gate and projection are one matrix."""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.gate_up = Linear(hidden_size, 2 * intermediate_size, bias=False)
        self.down = Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        gate, up = self.gate_up(hidden_states).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)
