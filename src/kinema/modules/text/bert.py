"""BERT whose last layers also look at what is seen or heard (ALBEF, arXiv 2107.07651).

As in stage 2 of InternVideo2 (arXiv 2403.15377; OpenGVLab/InternVideo): the layers before ``fusion_layer``
read text alone, the others attend to a memory between self-attention and MLP. Every layer sees the whole
text, to both sides.

B texts, N positions, M tokens of a memory, D hidden size, A heads, d head size, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import ConfigError, InputError
from kinema.modules.attention import attention
from kinema.modules.encoder import MLP, SelfAttention
from kinema.modules.linear import Linear, linear


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """Sizes of an encoder; the defaults are those of ``bert-large-uncased``."""

    vocab_size: int = 30522
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_layers: int = 24
    num_heads: int = 16
    max_positions: int = 512
    num_token_types: int = 2
    fusion_layer: int = 19
    """Layers that read text alone; those after them attend to the memory too."""
    memory_size: int
    """Width of the memory's tokens."""
    layer_norm_eps: float = 1e-12

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads}."
            )
        if not 0 < self.fusion_layer <= self.num_layers:
            raise ConfigError(
                f"fusion_layer must be from 1 to num_layers {self.num_layers}, got {self.fusion_layer}."
            )


class Bert(nn.Module):
    """Token ids to hidden states of text, alone or in the light of a memory, and to guesses of words."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.layers = nn.ModuleList(
            BertLayer(config, has_cross_attention=index >= config.fusion_layer)
            for index in range(config.num_layers)
        )
        self.word_head = WordHead(config)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """What the layers before ``fusion_layer`` make of texts alone.

        Args:
            input_ids: (B, N), padded on the right.
            attention_mask: (B, N), non-zero where a token is real.

        Returns:
            (B, N, D); the first position stands for the whole text.

        Raises:
            InputError: if a text is longer than there are positions.
        """
        hidden_states = self.embeddings(input_ids)
        for layer in self.layers[: self.config.fusion_layer]:
            hidden_states = layer(hidden_states, attention_mask)
        return hidden_states

    def fuse(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None = None,
    ) -> Tensor:
        """What the layers from ``fusion_layer`` on make of texts and what each of them is about.

        Args:
            hidden_states: (B, N, D), as ``forward`` gives them.
            attention_mask: (B, N), non-zero where a token is real.
            memory: (B, M, memory_size), row i for text i.
            memory_mask: (B, M), non-zero where a token of the memory is real; None for all.

        Returns:
            (B, N, D).
        """
        for layer in self.layers[self.config.fusion_layer :]:
            hidden_states = layer(hidden_states, attention_mask, memory, memory_mask)
        return hidden_states

    def guess_words(self, hidden_states: Tensor) -> Tensor:
        """Logits of the word at each position, (..., D) -> (..., V); the embedding is the last matrix."""
        return self.word_head(hidden_states, self.embeddings.word.weight)


class BertEmbeddings(nn.Module):
    """Words, places and sentences, added up and normalised; all that is read is one first sentence."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position = nn.Embedding(config.max_positions, config.hidden_size)
        self.token_type = nn.Embedding(config.num_token_types, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, input_ids: Tensor) -> Tensor:
        """(B, N) -> (B, N, D)."""
        num_tokens, most = input_ids.shape[-1], self.position.num_embeddings
        if input_ids.ndim != 2 or not 0 < num_tokens <= most:
            raise InputError(
                f"input_ids is {tuple(input_ids.shape)}; BERT takes (texts, tokens) of 1 to {most} tokens. "
                "Cut longer texts, keeping the end token."
            )
        places = self.position.weight[:num_tokens] + self.token_type.weight[0]
        return self.norm(self.word(input_ids) + places)


class BertLayer(nn.Module):
    """Self-attention, cross-attention where the layer has it, and MLP; a norm behind each sum."""

    def __init__(self, config: BertConfig, *, has_cross_attention: bool) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.attention = SelfAttention(width, config.num_heads)
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.cross_attention = None
        if has_cross_attention:
            self.cross_attention = CrossAttention(width, config.memory_size, config.num_heads)
            self.cross_norm = nn.LayerNorm(width, eps=eps)
        self.mlp = MLP(width, config.intermediate_size, "gelu")
        self.norm2 = nn.LayerNorm(width, eps=eps)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> Tensor:
        """(B, N, D) -> (B, N, D); masks and memory as for ``Bert.fuse``."""
        attended = self.attention(hidden_states, mask=key_mask(attention_mask))
        hidden_states = self.norm1(hidden_states + attended)
        if self.cross_attention is not None:
            assert memory is not None, "only Bert.fuse runs layers with cross-attention"
            mask = None if memory_mask is None else key_mask(memory_mask)
            seen = self.cross_attention(hidden_states, memory, mask=mask)
            hidden_states = self.cross_norm(hidden_states + seen)
        return self.norm2(hidden_states + self.mlp(hidden_states))


class CrossAttention(nn.Module):
    """Multi-head attention with biases to tokens of another width; key and value are one matrix."""

    def __init__(self, hidden_size: int, memory_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = Linear(hidden_size, hidden_size)
        self.key_value = Linear(memory_size, 2 * hidden_size)
        self.out = Linear(hidden_size, hidden_size)

    def forward(self, hidden_states: Tensor, memory: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Attend to the memory of each row.

        Args:
            hidden_states: (B, N, D).
            memory: (B, M, memory_size).
            mask: (B, 1, 1 | N, M) bool, what is seen of it; None for all.

        Returns:
            (B, N, D).
        """
        query = self.query(hidden_states).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, A, N, d)
        key_value = self.key_value(memory).unflatten(-1, (2, self.num_heads, -1))  # (B, M, 2, A, d)
        key, value = key_value.permute(2, 0, 3, 1, 4)  # (B, A, M, d) each
        return self.out(attention(query, key, value, mask=mask).transpose(1, 2).flatten(2))


class WordHead(nn.Module):
    """Hidden states to logits over the vocabulary, by a matrix that is held elsewhere."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden_states: Tensor, word_embedding: Tensor) -> Tensor:
        """(..., D), (V, D) -> (..., V)."""
        return linear(self.norm(F.gelu(self.transform(hidden_states))), word_embedding, self.bias)


def key_mask(attention_mask: Tensor) -> Tensor:
    """What every position sees: (B, N) numbers -> (B, 1, 1, N) bool."""
    return attention_mask.bool()[:, None, None]
