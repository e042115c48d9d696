"""Rotary positions, in one dimension for text and in two for patches.

Both pair dimension j with dimension j + d/2 ("rotate half"). Angles are float32: in bfloat16 neighbouring
positions of a long video would be the same number. N positions, P patches, d head size.
"""

import torch
from torch import Tensor


def rope_frequencies(num_frequencies: int, theta: float, device: torch.device | None = None) -> Tensor:
    """Angles per step, theta^(-i / n) for i = 0..n-1, (n,) float32."""
    steps = torch.arange(num_frequencies, dtype=torch.float32, device=device) / num_frequencies
    return 1.0 / theta**steps


def text_angles(position_ids: Tensor, head_dim: int, theta: float) -> Tensor:
    """Angles of text positions: (..., N) -> (..., N, d/2) float32."""
    frequencies = rope_frequencies(head_dim // 2, theta, position_ids.device)
    return position_ids[..., None].float() * frequencies


def patch_angles(positions: Tensor, head_dim: int, theta: float = 10000.0) -> Tensor:
    """Angles of patches, rows first and then columns: (P, 2) -> (P, d/2) float32.

    Rows and columns share d/4 frequencies; positions are indices in the patch grid, not normalised, and
    every frame reuses them (arXiv 2501.13106, "Any-resolution Vision Tokenization"; layout as published).
    """
    frequencies = rope_frequencies(head_dim // 4, theta, positions.device)
    return (positions[:, :, None].float() * frequencies).flatten(1)


def patch_positions(grid_thw: Tensor, merge_sizes: Tensor) -> Tensor:
    """Row and column of every patch of a pack, in block-major order: (S, 3), (S,) -> (P, 2) int64."""
    items = [
        _item_positions(frames, height, width, merge)
        for (frames, height, width), merge in zip(grid_thw.tolist(), merge_sizes.tolist(), strict=True)
    ]
    return torch.cat(items).to(grid_thw.device)


def _item_positions(frames: int, height: int, width: int, merge: int) -> Tensor:
    grid = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), dim=-1)
    blocks = grid.view(height // merge, merge, width // merge, merge, 2).transpose(1, 2)
    return blocks.reshape(-1, 2).repeat(frames, 1)


def rotation(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of angles, ready for ``apply_rope``."""
    return angles.cos(), angles.sin()


def apply_rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate queries or keys.

    Args:
        x: (..., d).
        cos: (..., d/2) float32, broadcast over heads by the caller.
        sin: likewise.

    Returns:
        (..., d) in the dtype of ``x``; the product is taken in float32.
    """
    first, second = x.float().chunk(2, dim=-1)
    rotated = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return rotated.to(x.dtype)
