"""A folder of images, or a list of image files, as a video: image k is shown at k / fps."""

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kinema.errors import ConfigError, MediaError
from kinema.media.image import read_image
from kinema.media.picture import DecodedFrame, SizeRule, apply_size
from kinema.media.probe import VideoInfo
from kinema.media.timeline import Timeline

FOLDER_FPS = 3.0
"""What VideoLLaMA3 takes folders of images to have; the frames of MVBench and TVQA are stored so."""

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


class ImageSequence:
    """Reads images by their place in the sequence; the counterpart of ``FileDecoder``."""

    def __init__(self, name: str, paths: Sequence[Path], fps: float = FOLDER_FPS) -> None:
        if not paths:
            raise MediaError(f"{name}: there is no image; the kinds are {', '.join(sorted(_SUFFIXES))}.")
        if fps <= 0:
            raise ConfigError(f"image_fps must be above 0, got {fps}.")
        self.name = name
        self._paths = paths
        self._fps = fps

    @classmethod
    def of_folder(cls, folder: Path, fps: float = FOLDER_FPS) -> "ImageSequence":
        """The images of a folder by name, numbers compared as numbers: ``2.png`` before ``10.png``."""
        paths = [path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES]
        return cls(str(folder), sorted(paths, key=_natural_order), fps)

    @classmethod
    def of_files(cls, files: Sequence[str | os.PathLike[str]], fps: float = FOLDER_FPS) -> "ImageSequence":
        """Images in the given order."""
        return cls(f"<{len(files)} image files>", [Path(file) for file in files], fps)

    @cached_property
    def timeline(self) -> Timeline:
        """Times of all images; every one is a keyframe."""
        count = len(self._paths)
        return Timeline(
            pts_s=np.arange(count) / self._fps,
            is_keyframe=np.ones(count, np.bool_),
            end_s=count / self._fps,
            rate=self._fps,
            assumed_rate=self._fps,
        )

    @cached_property
    def info(self) -> VideoInfo:
        """What is known from the number of images and the first of them."""
        height, width = read_image(self._paths[0]).shape[:2]
        return VideoInfo(
            name=self.name,
            container="images",
            codec=self._paths[0].suffix.lstrip(".").lower(),
            pixel_format="rgb24",
            width=width,
            height=height,
            pixel_aspect=1.0,
            rotation=0,
            is_interlaced=False,
            is_hdr=False,
            average_fps=self._fps,
            num_frames=len(self._paths),
            start_s=0.0,
            duration_s=self.timeline.duration_s,
            has_audio=False,
            audio_sample_rate=None,
            audio_channels=None,
        )

    def frames(self, indices: Sequence[int], size: SizeRule | None) -> Iterator[DecodedFrame]:
        """Read the images at ``indices``, which increase, of one size.

        Raises:
            MediaError: if an image cannot be read, or without ``size`` differs from the first one in size.
        """
        expected: tuple[int, int] | None = None
        for index in indices:
            picture = read_image(self._paths[index])
            height, width = picture.shape[:2]
            if expected is None:
                expected = apply_size(size, height, width)
            if size is None and (height, width) != expected:
                raise MediaError(
                    f"{self._paths[index]}: is {height} x {width} (height x width), the first image is "
                    f"{expected[0]} x {expected[1]}. Pass size to bring them to one."
                )
            yield DecodedFrame(index, index, _resized(picture, expected))


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if picture.shape[:2] == size:
        return picture
    height, width = size
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def _natural_order(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
