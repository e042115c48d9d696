"""Draw shots at any size and any times, only what is asked.

Letters: T frames, H W pixels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinema.toybox.sprites import STEPS, shape_mask
from kinema.toybox.vocabulary import COLOURS
from kinema.toybox.world import Shot, Toy


def draw_shot(shot: Shot, times_s: Sequence[float], height: int, width: int) -> NDArray[np.uint8]:
    """The pictures of one shot at the given times of the whole video, (T, H, W, 3)."""
    frames = np.empty((len(times_s), height, width, 3), dtype=np.uint8)
    frames[:] = shot.background.rgb
    for toy in shot.toys:
        _draw_toy(frames, toy, times_s)
    return frames


def _draw_toy(frames: NDArray[np.uint8], toy: Toy, times_s: Sequence[float]) -> None:
    """Blend a toy into every frame in which it is seen."""
    _, height, width, _ = frames.shape
    diameter = round(toy.diameter * min(height, width) * STEPS)
    centres = np.rint(toy.positions(times_s) * (width * STEPS, height * STEPS)).astype(int).tolist()
    for frame, time_s, (x, y) in zip(frames, times_s, centres, strict=True):
        if toy.is_visible(time_s):
            (left, step_x), (top, step_y) = divmod(x, STEPS), divmod(y, STEPS)
            mask = shape_mask(toy.shape, diameter, step_x, step_y)
            _blend(frame, mask, COLOURS[toy.colour_at(time_s)], left - len(mask) // 2, top - len(mask) // 2)


def _blend(
    frame: NDArray[np.uint8], mask: NDArray[np.uint16], rgb: tuple[int, int, int], left: int, top: int
) -> None:
    """Lay a colour over a frame where the mask says, the mask's top left pixel at (left, top)."""
    height, width, _ = frame.shape
    rows = slice(max(top, 0), min(top + mask.shape[0], height))
    columns = slice(max(left, 0), min(left + mask.shape[1], width))
    cover = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    under = frame[rows, columns]
    frame[rows, columns] = (under * (256 - cover) + np.array(rgb, dtype=np.uint16) * cover) >> 8
