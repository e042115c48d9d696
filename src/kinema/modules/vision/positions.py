"""Learned positions of one grid of patches, resized to another."""

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ConfigError


def resize_positions(table: Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int]) -> Tensor:
    """Resize the rows of patches as an image; the row of the class token is copied.

    Bicubic with antialias, as LanguageBind makes the 9 x 74 grid of its audio tower from 16 x 16
    (PKU-YuanGroup/LanguageBind, ``audio/modeling_audio.py``).

    Args:
        table: (1 + rows·columns, D), the class token first.
        old_grid: rows and columns of ``table``.
        new_grid: those of the result.

    Returns:
        (1 + new rows·new columns, D).

    Raises:
        ConfigError: if the table is not of the old grid.
    """
    if len(table) != 1 + old_grid[0] * old_grid[1]:
        raise ConfigError(
            f"a position table of {len(table)} rows is not of a grid of {old_grid[0]} x {old_grid[1]} "
            "patches and a class token."
        )
    picture = table[1:].float().T.unflatten(1, old_grid)[None]  # (1, D, rows, columns)
    resized = F.interpolate(picture, size=new_grid, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([table[:1], resized[0].flatten(1).T.to(table.dtype)])
