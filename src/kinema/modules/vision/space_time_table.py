"""Learned positions of the patches of a clip, for any number of frames and any size.

One row a patch, time-major, and one for the class token before them (InternVideo2, arXiv 2403.15377;
OpenGVLab/InternVideo, ``pos_embed.py``). T frames, N tokens, D hidden size.
"""

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import ConfigError


class Grid(NamedTuple):
    """Patches of a clip along time, height and width."""

    frames: int
    rows: int
    columns: int


class SpaceTimeTable(nn.Module):
    """A table for clips, and where the model has one, another for single images.

    A clip of another length or size than the table's gets interpolated rows. A single image gets rows of the
    image table; without one, the mean over time of the rows of clips.
    """

    def __init__(
        self, hidden_size: int, grid: Grid, *, has_image_table: bool = False, has_class_row: bool = True
    ) -> None:
        super().__init__()
        self.grid = grid
        self.has_class_row = has_class_row
        image_grid = grid._replace(frames=1)
        self.video = nn.Parameter(self._initial(hidden_size, grid))
        self.image = nn.Parameter(self._initial(hidden_size, image_grid)) if has_image_table else None

    def forward(self, grid: Grid) -> Tensor:
        """Rows of a clip of this grid, (N, D)."""
        if grid.frames > 1:
            return resize_space_time(self.video, self.grid, grid)
        image_grid = self.grid._replace(frames=1)
        image = self._mean_over_time() if self.image is None else self.image
        return resize_space_time(image, image_grid, grid)

    @torch.no_grad()
    def resize(self, grid: Grid) -> None:
        """Store the interpolated rows in place of the learned ones, as a longer fine-tuning starts from.

        The released code does so when it loads a checkpoint; to read a clip of another size it is not needed.
        """
        self.video = nn.Parameter(resize_space_time(self.video, self.grid, grid))
        if self.image is not None:
            sizes = (old._replace(frames=1) for old in (self.grid, grid))
            self.image = nn.Parameter(resize_space_time(self.image, *sizes))
        self.grid = grid

    def _mean_over_time(self) -> Tensor:
        first = int(self.has_class_row)
        patches = self.video[first:].unflatten(0, (self.grid.frames, -1)).mean(0)
        return torch.cat([self.video[:first], patches])

    def _initial(self, hidden_size: int, grid: Grid) -> Tensor:
        table = sine_cosine_table(hidden_size, grid)
        return table if self.has_class_row else table[1:].clone()


def resize_space_time(table: Tensor, old: Grid, new: Grid) -> Tensor:
    """Interpolate the rows of patches: linearly along time, then bicubically inside each frame.

    Args:
        table: (N, D), with or without the row of the class token, which is copied.
        old: the grid of ``table``.
        new: that of the result.

    Returns:
        (N', D), the table itself where nothing changes.

    Raises:
        ConfigError: if the table is not of the old grid.
    """
    first = len(table) - prod(old)
    if first not in (0, 1):
        raise ConfigError(
            f"a position table of {len(table)} rows is not of {old}, with a class row or without."
        )
    if old == new:
        return table
    patches = table[first:].float().unflatten(0, old)  # (T, rows, columns, D)
    if old.frames != new.frames:
        lines = patches.flatten(1).T[None]  # (1, rows·columns·D, T)
        lines = F.interpolate(lines, size=new.frames, mode="linear", align_corners=False)
        patches = lines[0].T.unflatten(1, (old.rows, old.columns, -1))
    if old[1:] != new[1:]:
        pictures = patches.permute(0, 3, 1, 2)  # (T, D, rows, columns)
        pictures = F.interpolate(pictures, size=new[1:], mode="bicubic", align_corners=False)
        patches = pictures.permute(0, 2, 3, 1)
    return torch.cat([table[:first], patches.flatten(0, 2).to(table.dtype)])


def sine_cosine_table(hidden_size: int, grid: Grid) -> Tensor:
    """What a table starts from: a quarter of the channels tells time, three eighths x, three eighths y.

    Args:
        hidden_size: D, a multiple of 16.
        grid: patches; positions are whole numbers from 0.

    Returns:
        (1 + T·rows·columns, D), the row of the class token zero.

    Raises:
        ConfigError: if the channels cannot be divided so.
    """
    if hidden_size % 16:
        raise ConfigError(f"sine-cosine positions need a hidden_size that 16 divides, got {hidden_size}.")
    time, row, column = torch.meshgrid(*(torch.arange(side) for side in grid), indexing="ij")
    for_time, for_side = hidden_size // 4, 3 * hidden_size // 8
    parts = [_sine_cosine(time, for_time), _sine_cosine(column, for_side), _sine_cosine(row, for_side)]
    patches = torch.cat(parts, dim=-1).flatten(0, 2)
    return torch.cat([patches.new_zeros(1, hidden_size), patches]).float()


def _sine_cosine(positions: Tensor, num_channels: int) -> Tensor:
    """(...) -> (..., num_channels) float64: all sines, then all cosines."""
    half = num_channels // 2
    frequencies = 10000 ** -(torch.arange(half, dtype=torch.float64) / half)
    angles = positions[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
