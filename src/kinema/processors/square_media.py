"""Pictures and clips, of files or decoded, to the squares that InternVideo2's encoders see.

T frames, H W pixels, S side of the square.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import InputError
from kinema.media.frames import AudioClip, FrameBatch
from kinema.media.image import read_image
from kinema.media.source import Source
from kinema.media.video import open_video
from kinema.processors.square_pixels import square_pixels

Media = Source | NDArray[Any] | Sequence[str] | FrameBatch | AudioClip
"""A file, or what was read from one."""


def read_square_image(media: Media, *, size: int) -> Tensor:
    """A picture: a file, or uint8 RGB (H, W, 3) or grey (H, W); (1, 3, S, S).

    Raises:
        InputError: if it is something else.
        MediaError: if a file cannot be read.
    """
    picture = media if isinstance(media, np.ndarray) else read_image(file_of(media, "an image"))
    return square_pixels([picture], size=size)


def read_square_clip(media: Media, *, size: int, num_frames: int, sampling: str) -> Tensor:
    """A clip: a file, a folder or list of images, frames with their times, or uint8 RGB (T, H, W, 3).

    Args:
        media: the clip.
        size: S.
        num_frames: read of a file, of a shorter one the last again and again; frames that are decoded already
            are all taken.
        sampling: a policy of ``media.sample``.

    Returns:
        (T, 3, S, S).

    Raises:
        InputError: if it is something else.
        MediaError: if a file cannot be read, or holds no video.
    """
    if isinstance(media, FrameBatch):
        return square_pixels(media.data, size=size)
    if isinstance(media, np.ndarray):
        return square_pixels(media, size=size)
    if isinstance(media, AudioClip):
        raise InputError("a video model takes frames, got sound.")
    with open_video(media) as video:
        frames = video.iter_read(sampling=sampling, num_frames=num_frames)
        return square_pixels((pixels for _, pixels in frames), size=size)


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
