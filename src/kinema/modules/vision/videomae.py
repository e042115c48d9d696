"""The encoder of VideoMAE V2 (arXiv 2303.16727), which teaches InternVideo2 motion.

As OpenGVLab/InternVideo ``videomae.py`` has it, in its published size ViT-g/14. It sees whole clips; what it
was masked with in its own training plays no part here.

B clips, T frames, N tokens, D hidden size, A heads, d head size, K layers.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError, InputError
from kinema.modules.attention import attention
from kinema.modules.encoder import MLP
from kinema.modules.linear import Linear, linear
from kinema.modules.vision.clip import cut_patches

TUBELET_SIZE = 2
"""Frames that a token covers."""
LAYER_NORM_EPS = 1e-6

AttentionForm = Literal["standard", "as_published"]
"""``standard`` is what the weights were trained with. ``as_published`` is what InternVideo2's stage-1 code
computes: it hands (batch, heads, tokens, channels) to a kernel that takes (batch, tokens, heads, channels).
So each token sees nothing but its own heads, and the result is read as if tokens stood where heads do. Kept
to reproduce that script's numbers; whether the released students were trained so is not known."""


@dataclass(frozen=True, kw_only=True)
class VideoMAEConfig:
    """Sizes and choices; the defaults are ViT-g/14's."""

    hidden_size: int = 1408
    intermediate_size: int = 6144
    num_layers: int = 40
    num_heads: int = 16
    patch_size: int = 14
    attention: AttentionForm = "standard"

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads or self.hidden_size % 2:
            raise ConfigError(
                f"hidden_size {self.hidden_size} must be even and a multiple of {self.num_heads} heads."
            )


class VideoMAE(nn.Module):
    """Clips to hidden states of their tubelets; there is no class token."""

    def __init__(self, config: VideoMAEConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.patch_embedding = Linear(3 * TUBELET_SIZE * config.patch_size**2, width)
        self.layers = nn.ModuleList(VideoMAELayer(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """What leaves the last layer, normed.

        Args:
            pixel_values: (B, T, 3, H, W), normalised; T is even.

        Returns:
            (B, N, D), N tubelets of T/2 · H/p · W/p, time-major.

        Raises:
            InputError: if the tensor has another form.
        """
        states = self.hidden_states(pixel_values)
        last = deque(states, maxlen=1).pop()  # those before it are let go on the way
        return self.final_norm(last)

    def hidden_states(self, pixel_values: Tensor) -> Iterator[Tensor]:
        """What enters the first layer, then what leaves each, before the final norm: (B, N, D) each."""
        tubelets = self.tubelets(pixel_values)
        hidden_states = self.patch_embedding(tubelets) + sinusoid_table(
            tubelets.shape[1], self.config.hidden_size, device=tubelets.device
        ).to(tubelets.dtype)
        yield hidden_states
        for layer in self.layers:
            hidden_states = layer(hidden_states)
            yield hidden_states

    def tubelets(self, pixel_values: Tensor) -> Tensor:
        """Pixels of each token, (B, T, 3, H, W) to (B, N, 3·2·p·p); errors as for ``forward``."""
        patch, shape = self.config.patch_size, tuple(pixel_values.shape)
        sizes = (TUBELET_SIZE, 1, patch, patch)
        if (
            len(shape) != 5
            or shape[2] != 3
            or 0 in shape
            or any(a % b for a, b in zip(shape[1:], sizes, strict=True))
        ):
            raise InputError(
                f"pixel_values is {shape}; VideoMAE takes (clips, frames, 3, height, width), frames even, "
                f"sides multiples of {patch}."
            )
        patches = cut_patches(pixel_values, patch)  # (B, T, n, 3·p·p)
        patches = patches.unflatten(-1, (3, -1)).unflatten(1, (-1, TUBELET_SIZE))  # (B, T/2, 2, n, 3, p·p)
        return patches.permute(0, 1, 3, 4, 2, 5).flatten(3).flatten(1, 2)  # as a Conv3d's weight lies


class VideoMAELayer(nn.Module):
    """Attention and MLP, each behind a norm and added to what came in."""

    def __init__(self, config: VideoMAEConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.attention = VideoMAEAttention(config.hidden_size, config.num_heads, config.attention)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS)
        self.mlp = MLP(config.hidden_size, config.intermediate_size, "gelu")

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        hidden_states = hidden_states + self.attention(self.norm1(hidden_states))
        return hidden_states + self.mlp(self.norm2(hidden_states))


class VideoMAEAttention(nn.Module):
    """Multi-head attention with biases of queries and values, none of keys."""

    def __init__(self, hidden_size: int, num_heads: int, form: AttentionForm) -> None:
        super().__init__()
        self.num_heads, self.form = num_heads, form
        self.qkv = Linear(hidden_size, 3 * hidden_size, bias=False)
        self.query_bias = nn.Parameter(torch.zeros(hidden_size))
        self.value_bias = nn.Parameter(torch.zeros(hidden_size))
        self.out = Linear(hidden_size, hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        bias = torch.cat([self.query_bias, torch.zeros_like(self.query_bias), self.value_bias])
        qkv = linear(hidden_states, self.qkv.weight, bias).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.unbind(2)  # (B, N, A, d) each
        if self.form == "as_published":
            attended = attention(query, key, value).transpose(1, 2)  # (B, A, N, d), as tokens and heads
            return self.out(attended.reshape(hidden_states.shape))
        attended = attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2))
        return self.out(attended.transpose(1, 2).flatten(2))


def sinusoid_table(num_rows: int, hidden_size: int, *, device: torch.device | None = None) -> Tensor:
    """Fixed positions: sines on even channels, cosines on odd ones; it is in no file.

    Args:
        num_rows: N; positions are 0 to N - 1.
        hidden_size: D, even; a pair of channels shares the frequency 10000^(-2i / D).
        device: where it is made.

    Returns:
        (N, D) float32.
    """
    pairs = torch.arange(hidden_size // 2, dtype=torch.float64, device=device)
    angles = torch.arange(num_rows, device=device)[:, None] / 10000 ** (2 * pairs / hidden_size)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).float()
