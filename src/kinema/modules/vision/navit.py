"""SigLIP-NaViT: a vision transformer for any resolution, with 2D rotary positions and packed frames.

arXiv 2501.13106, "Any-resolution Vision Tokenization"; the rest as in google/siglip-so400m-patch14-384.
P packed patches, S visual items, M tokens after merging, D hidden size, A heads, d head size, p patch side.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.modules.attention import packed_attention
from kinema.modules.encoder import MLP
from kinema.modules.linear import Linear
from kinema.modules.rope import apply_rope, patch_angles, patch_positions, rotation


@dataclass(frozen=True, kw_only=True)
class NaViTConfig:
    """Sizes of the encoder. The published config class has defaults that fit no model, so ours has none."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    patch_size: int = 14
    layer_norm_eps: float = 1e-6
    rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        if self.hidden_size % (4 * self.num_heads):
            raise ConfigError(
                f"hidden_size {self.hidden_size} must be a multiple of 4 x num_heads = {4 * self.num_heads}: "
                "2D rotary positions need head sizes that divide by 4."
            )

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden_size // self.num_heads


class NaViT(nn.Module):
    """Images and frames of any size to one feature a merged token; attention stays inside a frame."""

    def __init__(self, config: NaViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = Linear(3 * config.patch_size**2, config.hidden_size)
        self.layers = nn.ModuleList(NaViTLayer(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self, pixel_values: Tensor, grid_thw: Tensor, merge_sizes: Tensor, *, max_patches: int | None = None
    ) -> Tensor:
        """Features of all items, merged tokens in raster order of each frame.

        Args:
            pixel_values: (P, 3·p·p), block-major patches of all items end to end.
            grid_thw: (S, 3), frames, rows and columns of patches.
            merge_sizes: (S,), patches per side folded into one token.
            max_patches: encode about this many patches at a time, whole frames always; the result is the same
                and the activations stay small. None encodes all at once.

        Returns:
            (M, D).
        """
        if max_patches is None:
            return self._forward(pixel_values, grid_thw, merge_sizes)
        features, start = [], 0
        for grid, merge in split_frames(grid_thw, merge_sizes, max_patches):
            stop = start + int(grid.prod(-1).sum())
            features.append(self._forward(pixel_values[start:stop], grid, merge))
            start = stop
        return torch.cat(features)

    def _forward(self, pixel_values: Tensor, grid_thw: Tensor, merge_sizes: Tensor) -> Tensor:
        hidden_states = self.encode(pixel_values, grid_thw, merge_sizes)  # (P, D)
        return merge_tokens(hidden_states, grid_thw, merge_sizes)  # (M, D)

    def encode(self, pixel_values: Tensor, grid_thw: Tensor, merge_sizes: Tensor) -> Tensor:
        """Hidden states after the final norm and before merging, (P, D)."""
        lengths = frame_lengths(grid_thw)
        positions = patch_positions(grid_thw, merge_sizes)  # (P, 2)
        cos, sin = rotation(patch_angles(positions, self.config.head_dim, self.config.rope_theta))
        cos, sin = cos[:, None], sin[:, None]  # (P, 1, d/2)
        hidden_states = self.patch_embedding(pixel_values)  # (P, D)
        for layer in self.layers:
            hidden_states = layer(hidden_states, cos, sin, lengths)
        return self.final_norm(hidden_states)


class NaViTLayer(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, config: NaViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = PackedSelfAttention(config.hidden_size, config.num_heads)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = MLP(config.hidden_size, config.intermediate_size, "gelu_tanh")

    def forward(self, hidden_states: Tensor, cos: Tensor, sin: Tensor, lengths: list[int]) -> Tensor:
        """(P, D) -> (P, D)."""
        hidden_states = hidden_states + self.attention(self.norm1(hidden_states), cos, sin, lengths)
        return hidden_states + self.mlp(self.norm2(hidden_states))


class PackedSelfAttention(nn.Module):
    """Multi-head attention inside each segment of a pack."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = Linear(hidden_size, 3 * hidden_size)
        self.out = Linear(hidden_size, hidden_size)

    def forward(self, hidden_states: Tensor, cos: Tensor, sin: Tensor, lengths: list[int]) -> Tensor:
        """(P, D) -> (P, D)."""
        qkv = self.qkv(hidden_states).unflatten(-1, (3, self.num_heads, -1))  # (P, 3, A, d)
        query, key, value = qkv.unbind(1)
        attended = packed_attention(apply_rope(query, cos, sin), apply_rope(key, cos, sin), value, lengths)
        return self.out(attended.flatten(1))


def frame_lengths(grid_thw: Tensor) -> list[int]:
    """Patches of each frame of a pack; attention never crosses from one to the next."""
    return [h * w for t, h, w in grid_thw.tolist() for _ in range(t)]


def merge_tokens(hidden_states: Tensor, grid_thw: Tensor, merge_sizes: Tensor) -> Tensor:
    """Fold blocks of patches into tokens by bilinear downsampling.

    Rows are block-major, so a token is a weighted sum of m² neighbouring rows. For m=2 the published bilinear
    interpolation (align_corners=False) is the mean of the block; in general it reads the middle of the block.

    Args:
        hidden_states: (P, D).
        grid_thw: (S, 3).
        merge_sizes: (S,).

    Returns:
        (M, D), raster order of the merged grid of each frame.
    """
    items = zip(grid_thw.prod(-1).tolist(), merge_sizes.tolist(), strict=True)
    tokens, start = [], 0
    for merge, run in groupby(items, key=lambda item: item[1]):
        stop = start + sum(num_patches for num_patches, _ in run)
        tokens.append(_merge_blocks(hidden_states[start:stop], merge))
        start = stop
    return tokens[0] if len(tokens) == 1 else torch.cat(tokens)


def _merge_blocks(hidden_states: Tensor, merge: int) -> Tensor:
    if merge == 1:
        return hidden_states
    blocks = hidden_states.unflatten(0, (-1, merge * merge))  # (M, m·m, D)
    if merge == 2:
        return blocks.mean(1)
    middle = hidden_states.new_zeros(merge)
    middle[(merge - 1) // 2 : merge // 2 + 1] = 1.0 if merge % 2 else 0.5
    return torch.einsum("mkd,k->md", blocks, torch.outer(middle, middle).flatten())


def split_frames(grid_thw: Tensor, merge_sizes: Tensor, max_patches: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut a pack into parts of about ``max_patches`` patches, between frames only.

    Yields:
        ``grid_thw`` and ``merge_sizes`` of each part; a frame larger than the limit is a part of its own.
    """
    part: list[tuple[list[int], int]] = []
    room = max_patches
    for (frames, height, width), merge in zip(grid_thw.tolist(), merge_sizes.tolist(), strict=True):
        while frames:
            if part and room < height * width:
                yield _grids(part, grid_thw)
                part, room = [], max_patches
            taken = min(frames, max(1, room // (height * width)))
            part.append(([taken, height, width], merge))
            frames -= taken
            room -= taken * height * width
    if part:
        yield _grids(part, grid_thw)


def _grids(part: list[tuple[list[int], int]], like: Tensor) -> tuple[Tensor, Tensor]:
    return like.new_tensor([grid for grid, _ in part]), like.new_tensor([merge for _, merge in part])
