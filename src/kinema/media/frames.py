"""What a decoded piece of media is: frames with their times, sound with its start.

Letters: T frames, H W pixels, N sound samples, C sound channels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class FrameBatch:
    """Frames of one video or image, and when each is shown.

    Raises:
        ValueError: if the frames are not uint8 RGB, or their times do not match them one to one.
    """

    data: NDArray[np.uint8]
    """(T, H, W, 3), RGB, upright: the container's rotation is already applied."""
    pts_s: NDArray[np.float64]
    """(T,), presentation times in seconds as the container states them, never index / average fps."""
    duration_s: float
    """Length of the whole source in seconds, not of this batch."""

    def __post_init__(self) -> None:
        if self.data.dtype != np.uint8 or self.data.ndim != 4 or self.data.shape[-1] != 3:
            raise ValueError(f"frames must be uint8 (T, H, W, 3), got {self.data.dtype} {self.data.shape}.")
        if self.pts_s.shape != (len(self.data),):
            raise ValueError(f"{len(self.data)} frames need {len(self.data)} times, got {self.pts_s.shape}.")

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True, kw_only=True)
class AudioClip:
    """Sound of one file, as float samples."""

    data: NDArray[np.float32]
    """(N, C), between -1 and 1; C is 1 unless asked otherwise."""
    sample_rate: int
    """Samples per second and channel."""
    start_s: float
    """Presentation time of the first sample."""

    @property
    def duration_s(self) -> float:
        """Length of the sound in seconds."""
        return len(self.data) / self.sample_rate
