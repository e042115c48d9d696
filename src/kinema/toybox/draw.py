"""Draw shots at any size and any times, only what is asked.

Letters: T frames, H W pixels.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kinema.toybox.backgrounds import draw_background
from kinema.toybox.lettering import draw_label
from kinema.toybox.sprites import STEPS, shape_mask
from kinema.toybox.vocabulary import COLOURS, LABEL_CENTRES
from kinema.toybox.world import Background, Shot, Toy, Word

_BORDER = 0.027
"""Thickness of the border, as a part of the picture's shorter side."""
_LEAST_BORDER = 2
"""Its least thickness in pixels."""
_BORDER_STEP = 60
"""Grey levels between the background and the border."""
_GRAIN_TILE = 64
"""The noise of a picture is cut out of one larger sheet of noise, at one of this many squared places."""


def draw_shots(
    shots: Sequence[Shot], times_s: Sequence[float] | NDArray[np.float64], height: int, width: int
) -> NDArray[np.uint8]:
    """The pictures of some times of a whole video, (T, H, W, 3), dissolves included."""
    times = np.asarray(times_s, dtype=np.float64)
    frames = np.empty((len(times), height, width, 3), dtype=np.uint8)
    shown = np.searchsorted([shot.start_s for shot in shots], times, side="right") - 1
    for index in sorted(set(shown.tolist())):
        at = shown == index
        frames[at] = draw_shot(shots[index], times[at].tolist(), height, width)
    for before, after in pairwise(shots):
        if after.dissolve_s > 0:
            _dissolve(frames, times, before, after)
    return frames


def draw_shot(shot: Shot, times_s: Sequence[float], height: int, width: int) -> NDArray[np.uint8]:
    """The pictures of one shot at some of its times, (T, H, W, 3)."""
    frames = _backgrounds(shot, times_s, height, width)
    _draw_border(frames, shot.background)
    for toy in shot.toys:
        _draw_toy(frames, toy, times_s)
    for word in shot.words:
        _draw_word(frames, word, times_s)
    if shot.grain:
        _add_grain(frames, shot.grain, times_s)
    return frames


def _dissolve(frames: NDArray[np.uint8], times: NDArray[np.float64], before: Shot, after: Shot) -> None:
    """Mix two shots in the frames around the cut between them."""
    _, height, width, _ = frames.shape
    share = (times - after.start_s) / after.dissolve_s + 0.5  # (T,) of the shot after
    at = (share > 0) & (share < 1)
    last_s = math.nextafter(before.end_s, 0)
    old = draw_shot(before, np.minimum(times[at], last_s).tolist(), height, width)
    new = draw_shot(after, np.maximum(times[at], after.start_s).tolist(), height, width)
    weight = share[at][:, None, None, None]
    frames[at] = np.rint(old * (1 - weight) + new * weight).astype(np.uint8)


def _backgrounds(shot: Shot, times_s: Sequence[float], height: int, width: int) -> NDArray[np.uint8]:
    """The background of each frame, (T, H, W, 3); a pan shows a wider one bit by bit."""
    frames = np.empty((len(times_s), height, width, 3), dtype=np.uint8)
    side, motion = min(height, width), shot.camera.motion
    room_x = round(width * shot.camera.distance) if motion in ("left", "right") else 0
    room_y = round(height * shot.camera.distance) if motion in ("up", "down") else 0
    wide = draw_background(shot.background, height + room_y, width + room_x, side)
    if motion == "still":
        frames[:] = wide
        return frames
    for frame, time_s in zip(frames, times_s, strict=True):
        share = (time_s - shot.start_s) / (shot.end_s - shot.start_s)
        share = share if motion in ("right", "down") else 1 - share
        left, top = round(room_x * share), round(room_y * share)
        frame[:] = wide[top : top + height, left : left + width]
    return frames


def _draw_border(frames: NDArray[np.uint8], background: Background) -> None:
    """Draw the edge of the picture, darker than the background, or lighter than a dark one.

    All patches of a plain picture look the same, and an encoder with relative positions only, such as 2D
    RoPE, gives the same patches the same features wherever they lie: of a toy alone on a plain background
    it could not say where it is. Distances to a border it can tell.
    """
    _, height, width, _ = frames.shape
    thickness = max(_LEAST_BORDER, round(_BORDER * min(height, width)))
    step = -_BORDER_STEP if min(background.rgb) > _BORDER_STEP else _BORDER_STEP
    rgb = np.array(background.rgb) + step
    for edge in (
        np.s_[:, :thickness],
        np.s_[:, -thickness:],
        np.s_[:, :, :thickness],
        np.s_[:, :, -thickness:],
    ):
        frames[edge] = rgb


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


def _draw_word(frames: NDArray[np.uint8], word: Word, times_s: Sequence[float]) -> None:
    """Put the label of a word into every frame in which it can be read."""
    _, height, width, _ = frames.shape
    label = draw_label(word.text, min(height, width))
    rows, columns, _ = label.shape
    top = round(LABEL_CENTRES[word.place] * height - rows / 2)
    top = min(max(top, 0), height - rows)
    left = (width - columns) // 2
    for frame, time_s in zip(frames, times_s, strict=True):
        if word.is_visible(time_s):
            frame[top : top + rows, left : left + columns] = label


def _add_grain(frames: NDArray[np.uint8], grain: int, times_s: Sequence[float]) -> None:
    """Add noise that is new in every frame, and the same whenever that time is drawn."""
    _, height, width, _ = frames.shape
    sheet = _noise(height + _GRAIN_TILE, width + _GRAIN_TILE, grain)
    for frame, time_s in zip(frames, times_s, strict=True):
        top, left = divmod(round(time_s * 1000) * 2654435761 % _GRAIN_TILE**2, _GRAIN_TILE)
        noisy = frame + sheet[top : top + height, left : left + width]
        np.clip(noisy, 0, 255, out=frame, casting="unsafe")


@lru_cache(maxsize=8)
def _noise(height: int, width: int, grain: int) -> NDArray[np.int16]:
    """Random whole numbers from -grain to grain, (H, W, 1)."""
    return np.random.default_rng(0).integers(-grain, grain + 1, size=(height, width, 1), dtype=np.int16)
