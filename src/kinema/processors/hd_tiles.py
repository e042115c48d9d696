"""Frames as several views: square tiles of a canvas, and all of it once more, small.

InternVideo2-Chat HD (OpenGVLab/InternVideo2_chat_8B_HD, ``HD_transform_no_padding``). The canvas is a grid of
squares with nearly the aspect ratio of the frames, so that small things stay visible.

T frames, H W pixels, S side of a square, V views.
"""

from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ConfigError


class TileGrid(NamedTuple):
    """Squares of a canvas."""

    columns: int
    rows: int


class PaddedCanvas(NamedTuple):
    """A canvas on which frames keep their width and get white rows above and below."""

    grid: TileGrid
    height: int
    """Of the frames on it; they are as wide as it is."""
    top: int
    """White rows above; what is left stands below."""


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


def choose_padded_canvas(height: int, width: int, *, size: int, max_tiles: int) -> PaddedCanvas:
    """The widest canvas of at most ``max_tiles`` squares that frames fit on without being squeezed.

    Of frames that are higher than wide it is the canvas of the same frames laid on their side, into which the
    released code (``HD_transform_padding``) then squeezes them upright; it meant to turn them.

    Arguments and errors are as for ``choose_grid``.
    """
    if max_tiles < 1:
        raise ConfigError(f"a canvas has at least one tile, got max_tiles {max_tiles}.")
    ratio = max(height, width) / min(height, width)
    columns = max(n for n in range(1, max_tiles + 1) if n * ceil(n / ratio) <= max_tiles)
    scaled = int(columns * size / ratio)
    rows = ceil(scaled / size)
    return PaddedCanvas(TileGrid(columns, rows), scaled, (rows * size - scaled) // 2)


def pad_frames(levels: Tensor, canvas: PaddedCanvas, *, size: int) -> Tensor:
    """Frames laid on a canvas, (T, 3, H, W) from 0 to 255 to (T, 3, rows·S, columns·S)."""
    placed = _resized(levels, canvas.height, canvas.grid.columns * size)
    bottom = canvas.grid.rows * size - canvas.height - canvas.top
    return F.pad(placed, (0, 0, canvas.top, bottom), value=255.0)


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
