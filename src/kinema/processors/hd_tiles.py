"""Frames as several views: square tiles of a canvas, and all of it once more, small.

InternVideo2-Chat HD (OpenGVLab/InternVideo2_chat_8B_HD, ``HD_transform_no_padding``). The canvas is a grid of
squares with nearly the aspect ratio of the frames, so that small things stay visible.

T frames, H W pixels, S side of a square, V views.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ConfigError


class TileGrid(NamedTuple):
    """Squares of a canvas."""

    columns: int
    rows: int


def choose_grid(height: int, width: int, *, size: int, max_tiles: int) -> TileGrid:
    """The grid of at most ``max_tiles`` squares whose aspect ratio is nearest to that of a frame.

    Of grids that are equally near, such as 1 x 1 and 2 x 2, the larger is taken if the frame fills more than
    half of its pixels.

    Args:
        height: H.
        width: W.
        size: S.
        max_tiles: 6 in training; the published demo takes 4.

    Raises:
        ConfigError: if there is to be no tile.
    """
    if max_tiles < 1:
        raise ConfigError(f"a canvas has at least one tile, got max_tiles {max_tiles}.")
    sides = range(1, max_tiles + 1)
    grids = [TileGrid(columns, rows) for columns in sides for rows in sides if columns * rows <= max_tiles]
    best, nearest = TileGrid(1, 1), float("inf")
    for grid in sorted(grids, key=lambda grid: grid.columns * grid.rows):
        distance = abs(width / height - grid.columns / grid.rows)
        fills_it = height * width > 0.5 * size**2 * grid.columns * grid.rows
        if distance < nearest or (distance == nearest and fills_it):
            best, nearest = grid, distance
    return best


def tile_views(frames: Tensor, grid: TileGrid, *, size: int) -> Tensor:
    """The tiles of a canvas row by row, then all of it.

    Args:
        frames: (T, 3, H, W), levels or normalised: resizing does not care.
        grid: of the canvas.
        size: S.

    Returns:
        (V, T, 3, S, S), V of one more than there are tiles.
    """
    canvas = _resized(frames, grid.rows * size, grid.columns * size)
    tiles = canvas.unflatten(3, (grid.columns, size)).unflatten(2, (grid.rows, size))  # (T, 3, r, S, c, S)
    tiles = tiles.permute(2, 4, 0, 1, 3, 5).flatten(0, 1)  # (r·c, T, 3, S, S)
    return torch.cat([tiles, _resized(canvas, size, size)[None]])


def _resized(frames: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(frames, (height, width), mode="bicubic", align_corners=False)
