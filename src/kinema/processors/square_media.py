"""Pictures and clips, of files or decoded, to the pixels that InternVideo2's encoders see. T frames, H W
pixels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import ConfigError, InputError
from kinema.media.frames import AudioClip, FrameBatch
from kinema.media.image import read_image
from kinema.media.source import Source
from kinema.media.video import open_video
from kinema.processors.square_pixels import shaped_pixels, square_pixels

Media = Source | NDArray[Any] | Sequence[str] | FrameBatch | AudioClip
"""A file, or what was read from one."""


@dataclass(frozen=True, kw_only=True)
class FrameSize:
    """How large frames are when the encoder sees them."""

    size: int | None = 224
    """Pixels a side of a square; None for as many pixels as the frames have, with ``keeps_shape``."""
    keeps_shape: bool = False
    """Whether frames keep their aspect ratio, with as many pixels as the square. As published they do not,
    and small things vanish; the encoder interpolates its positions for whatever comes."""

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ConfigError(f"size must be at least 1 pixel, got {self.size}.")
        if self.size is None and not self.keeps_shape:
            raise ConfigError("frames of their own size keep their shape; set keeps_shape, or give a size.")

    def pixels(self, frames: Iterable[NDArray[np.uint8]]) -> Tensor:
        """Normalised frames, (T, 3, H, W); ``InputError`` if there is none, or one is no picture."""
        if self.keeps_shape:
            return shaped_pixels(frames, size=self.size)
        assert self.size is not None
        return square_pixels(frames, size=self.size)


def read_square_image(media: Media, *, frame_size: FrameSize) -> Tensor:
    """A picture: a file, or uint8 RGB (H, W, 3) or grey (H, W); (1, 3, H', W').

    Raises:
        InputError: if it is something else.
        MediaError: if a file cannot be read.
    """
    picture = media if isinstance(media, np.ndarray) else read_image(file_of(media, "an image"))
    return frame_size.pixels([picture])


def read_square_clip(media: Media, *, frame_size: FrameSize, num_frames: int, sampling: str) -> Tensor:
    """A clip: a file, a folder or list of images, frames with their times, or uint8 RGB (T, H, W, 3).

    Args:
        media: the clip.
        frame_size: how large frames are seen.
        num_frames: read of a file, of a shorter one the last again and again; frames that are decoded already
            are all taken.
        sampling: a policy of ``media.sample``.

    Returns:
        (T, 3, H', W').

    Raises:
        InputError: if it is something else.
        MediaError: if a file cannot be read, or holds no video.
    """
    if isinstance(media, FrameBatch):
        return frame_size.pixels(media.data)
    if isinstance(media, np.ndarray):
        return frame_size.pixels(clip_of(media))
    if isinstance(media, AudioClip):
        raise InputError("a video model takes frames, got sound.")
    with open_video(media) as video:
        frames = video.iter_read(sampling=sampling, num_frames=num_frames)
        return frame_size.pixels(pixels for _, pixels in frames)


def clip_of(frames: NDArray[Any]) -> NDArray[Any]:
    """Decoded frames, if they are a clip; ``InputError`` if they are a picture or have no channels."""
    if frames.ndim != 4:
        raise InputError(
            f"a decoded clip must be uint8 RGB (T, H, W, 3), got {frames.dtype} {frames.shape}; a single "
            "picture is an image."
        )
    return frames


def file_of(media: Media, wanted: str) -> Source:
    """What can be opened; lists, and decoded media of another kind, are refused.

    Raises:
        InputError: saying that the model takes what is ``wanted``.
    """
    is_list = isinstance(media, Sequence) and not isinstance(media, str | bytes)
    if is_list or isinstance(media, np.ndarray | FrameBatch | AudioClip):
        raise InputError(
            f"this model takes {wanted}, as a file or decoded, got {type(media).__name__}. Decoded sound "
            "comes as an AudioClip, which says its rate; of several files, each is embedded alone."
        )
    return cast(Source, media)
