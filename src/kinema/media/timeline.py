"""When the frames of a video are shown: what sampling policies choose from.

N frames of the whole video, in the order they are shown.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Presentation times of every frame of one video."""

    pts_s: NDArray[np.float64]
    """(N,), increasing, in seconds as the container states them; N is at least 1."""
    is_keyframe: NDArray[np.bool_]
    """(N,), True where decoding can start."""
    end_s: float
    """When the last frame stops being shown."""
    rate: float
    """Frames a second on average, as the container states it; measured where it states none."""
    assumed_rate: float | None = None
    """Frames a second that published loaders assume for a GIF or a folder of images, whatever it states."""

    def __len__(self) -> int:
        return len(self.pts_s)

    @property
    def start_s(self) -> float:
        """When the first frame is shown."""
        return float(self.pts_s[0])

    @property
    def duration_s(self) -> float:
        """From the first frame's appearance to the last one's end."""
        return self.end_s - self.start_s

    @property
    def is_variable_rate(self) -> bool:
        """Whether some gap between frames differs from the usual one by over a tenth and 2 ms (rounding)."""
        gaps = np.diff(self.pts_s)
        if len(gaps) == 0:
            return False
        usual = float(np.median(gaps))
        return bool(np.abs(gaps - usual).max() > max(0.1 * usual, 0.002))

    def between(self, start_s: float | None, end_s: float | None) -> range:
        """Indices of the frames that appear within [start_s, end_s); None means the start or the end.

        Where no frame appears in that time, the one frame that is being shown at ``start_s``.
        """
        first = 0 if start_s is None else int(np.searchsorted(self.pts_s, start_s - _ROUNDING_S))
        last = len(self) if end_s is None else int(np.searchsorted(self.pts_s, end_s - _ROUNDING_S))
        if first < last:
            return range(first, last)
        shown = min(max(first - 1, 0), len(self) - 1)
        return range(shown, shown + 1)

    def nearest(self, times_s: NDArray[np.float64], within: range | None = None) -> NDArray[np.int64]:
        """Index of the frame whose time is nearest to each of ``times_s``, (T,); the earlier one on a tie."""
        within = range(len(self)) if within is None else within
        pts_s = self.pts_s[within.start : within.stop]
        after = np.searchsorted(pts_s, times_s).clip(0, len(pts_s) - 1)
        before = (after - 1).clip(0)
        takes_before = times_s - pts_s[before] <= pts_s[after] - times_s + _ROUNDING_S
        return (np.where(takes_before, before, after) + within.start).astype(np.int64)

    def last_before(self, times_s: NDArray[np.float64], within: range | None = None) -> NDArray[np.int64]:
        """Index of the last frame before each of ``times_s``, (T,); the first one if there is none."""
        within = range(len(self)) if within is None else within
        pts_s = self.pts_s[within.start : within.stop]
        index = np.searchsorted(pts_s, times_s - _ROUNDING_S) - 1
        return (index.clip(0) + within.start).astype(np.int64)


_ROUNDING_S = 1e-6
"""Times closer than this are the same time; containers count in microseconds at the finest."""
