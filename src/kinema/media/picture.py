"""Decoded pictures of any pixel format to upright RGB arrays, resized on the way where that is asked.

Letters: H W pixels of the upright picture.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from kinema.errors import InputError

SizeRule = tuple[int, int] | Callable[[int, int], tuple[int, int]]
"""A (height, width), or a function from the upright (height, width) of the source to that of the result."""


@dataclass(frozen=True)
class DecodedFrame:
    """A frame that was asked for by its index on the timeline, or the one that stands in for it."""

    wanted: int
    """The index asked for."""
    index: int
    """The index of this frame: another one where the wanted frame cannot be decoded."""
    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB, upright."""


def at_most(max_pixels: int) -> SizeRule:
    """A rule that shrinks pictures to at most ``max_pixels``, keeping their shape; it enlarges nothing."""
    if max_pixels < 1:
        raise InputError(f"max_pixels must be at least 1, got {max_pixels}.")

    def shrink(height: int, width: int) -> tuple[int, int]:
        factor = min(1.0, math.sqrt(max_pixels / (height * width)))
        return max(1, math.floor(height * factor)), max(1, math.floor(width * factor))

    return shrink


def apply_size(rule: SizeRule | None, height: int, width: int) -> tuple[int, int]:
    """The (height, width) that a rule gives for a source of ``height`` and ``width``."""
    if rule is None:
        return height, width
    wanted = rule(height, width) if callable(rule) else rule
    if min(wanted) < 1:
        raise InputError(f"a size must be at least 1 x 1, got {wanted} for a source of {height} x {width}.")
    return int(wanted[0]), int(wanted[1])


def shown_size(height: int, width: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """The (height, width) of a stored picture in square pixels: the shorter side of a pixel is stretched."""
    if pixel_aspect >= 1:
        return height, max(1, round(width * pixel_aspect))
    return max(1, round(height / pixel_aspect)), width


@dataclass(frozen=True)
class Orientation:
    """How a stored picture becomes upright: first transposed, then its rows, then its columns reversed."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of_frame(cls, frame: Any) -> "Orientation":
        """Read the display matrix of an ``av.VideoFrame``; turns that are not right angles go to the nearest.

        Its rows of three, a b u, c d v, map a stored point to x' = a x + c y, y' = b x + d y (ISO 14496-12).
        """
        side_data = frame.side_data.get(SideDataType.DISPLAYMATRIX)
        if side_data is None:
            return cls()
        a, b, _, c, d = np.frombuffer(bytes(side_data), np.int32)[:5].tolist()
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(flip_rows=d < 0, flip_columns=a < 0)
        return cls(transpose=True, flip_rows=b < 0, flip_columns=c < 0)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Stored to upright size, or back: a transposition is its own inverse."""
        return (width, height) if self.transpose else (height, width)

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn (H, W, 3) upright."""
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        if self.flip_rows:
            picture = picture[::-1]
        if self.flip_columns:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(picture)


class ToRGB:
    """Turns frames of one video into arrays of one size, with square pixels as a player shows them.

    Colours follow the matrix and range that the stream states (BT.601 where it states none), like the ffmpeg
    command line; chroma is interpolated bicubically, its default too. Alpha is dropped. Light is not mapped:
    HDR (PQ, HLG) comes with its coded values, which look flat.
    """

    def __init__(self, size: SizeRule | None, *, pixel_aspect: Fraction) -> None:
        self._rule = size
        self._pixel_aspect = pixel_aspect
        self._orientation: Orientation | None = None
        self._size = (0, 0)
        self._reformatter = VideoReformatter()

    def __call__(self, frame: Any) -> NDArray[np.uint8]:
        """(H, W, 3) uint8; frames whose stored size differs from the first one's are scaled to it."""
        # Once a video: a frame asked for its side data lives on until Python collects garbage.
        if self._orientation is None:
            self._orientation = Orientation.of_frame(frame)
            shown = shown_size(frame.height, frame.width, self._pixel_aspect)
            self._size = apply_size(self._rule, *self._orientation.size(*shown))
        height, width = self._orientation.size(*self._size)
        picture = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation=Interpolation.BICUBIC, threads=1
        )
        return self._orientation.apply(np.asarray(picture.to_ndarray(), np.uint8))
