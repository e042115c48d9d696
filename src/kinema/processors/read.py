"""From the image and video parts of a conversation to frames, one at a time.

What is there is found first (how many frames, when, how large), because sizes are chosen for all items of a
call together; pixels are decoded when they are asked for. H W pixels of the original.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from kinema.errors import ConfigError, InputError
from kinema.media.frames import FrameBatch
from kinema.media.image import read_image
from kinema.media.sample import Picks, SamplingRequest, sampling_policy
from kinema.media.video import Video, open_video
from kinema.processors.messages import ImagePart, Source, VideoFrame, VideoPart
from kinema.processors.visuals import Clip, ClipFrame, Kind


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """How a clip becomes frames, where its part does not say."""

    fps: float | None = 1.0
    """Frames a second; None leaves their number to ``max_frames``, with a policy that can do so."""
    max_frames: int = 180
    """Most frames of one clip; a longer one is read more sparsely, never cut."""
    sampling: str = "videollama3"
    """A policy of ``media.sample``. The released weights were trained with ``videollama3``."""
    num_threads: int = 1
    """Threads that decode one file."""

    def __post_init__(self) -> None:
        if self.num_threads < 1:
            raise ConfigError(f"num_threads must be at least 1, got {self.num_threads}.")
        sampling_policy(self.sampling)
        SamplingRequest(fps=self.fps, max_frames=self.max_frames)


class MediaReader:
    """The media of one call; a context, as it holds files open.

    Parts are added in the order of their placeholders, and ``frames`` gives the pixels of all of them. A file
    that several parts name is opened once, and no frame of it is decoded twice.
    """

    def __init__(self, settings: ReadSettings) -> None:
        self.clips: list[Clip] = []
        """What was added, in order."""
        self._settings = settings
        self._readings: list[_Reading] = []
        self._walks: dict[object, _Walk] = {}
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def add_image(self, part: ImagePart) -> int:
        """Plan one image; returns its place in ``clips``.

        Raises:
            InputError: if the picture shows depth or heat, which is not read as an image.
        """
        return self._add_images([part], "image")

    def add_stream(self, parts: Sequence[ImagePart]) -> int:
        """Plan the frames of a stream as one video; returns its place in ``clips``.

        Raises:
            InputError: if some are frames of a video and others are not of it, or they go back in time.
        """
        return self._add_images(parts, "video")

    def add_video(self, part: VideoPart) -> int:
        """Plan a clip; returns its place in ``clips``.

        Raises:
            InputError: if the part asks to sample frames that are sampled already, or for a time without
            frames.
            MediaError: if there is no such file, or it holds no video.
        """
        if isinstance(part.source, FrameBatch):
            return self._add_batch(part, part.source)
        return self._add_file(part, part.source)

    def frames(self) -> Iterator[ClipFrame]:
        """Pixels of every clip, those of one clip in order, those of several perhaps in turns."""
        for reading in self._readings:
            yield from reading.frames()

    def _add_images(self, parts: Sequence[ImagePart], kind: Kind) -> int:
        other = next((part.modality for part in parts if part.modality != "image"), None)
        if other is not None:
            raise InputError(
                f"this model sees images and videos; a picture of modality {other!r} is neither."
            )
        frames = [part.source for part in parts if isinstance(part.source, VideoFrame)]
        times_s = tuple(part.time_s for part in parts)
        if not frames:
            first = _pixels(parts[0])
            self._readings.append(_Stills(len(self.clips), parts, first))
            size = {"height": first.shape[0], "width": first.shape[1]}
            return self._append(Clip(kind=kind, name=_name(parts[0].source), times_s=times_s, **size))
        if len(frames) < len(parts) or len({_source_key(frame.source) for frame in frames}) > 1:
            raise InputError("a stream is made of frames of one video, or of pictures; this one mixes them.")
        walk = self._walk(frames[0].source)
        return self._append(walk.plan_frames(len(self.clips), kind, [f.pts_s for f in frames], times_s))

    def _add_batch(self, part: VideoPart, batch: FrameBatch) -> int:
        if (part.fps, part.max_frames, part.sampling) != (None, None, None):
            raise InputError(
                "fps, max_frames and sampling choose frames of a file, but this video is a FrameBatch, whose "
                "frames are chosen already. Leave them out, or pass the file."
            )
        start_s = -np.inf if part.start_s is None else part.start_s
        end_s = np.inf if part.end_s is None else part.end_s
        # NaN is an unknown time: neither before the start nor after the end.
        rows = np.flatnonzero(~(batch.pts_s < start_s) & ~(batch.pts_s >= end_s))
        if len(rows) == 0:
            raise InputError(
                f"none of the {len(batch)} frames lies between start_s={part.start_s} and end_s={part.end_s}."
            )
        times_s = tuple(map(_known, batch.pts_s[rows].tolist()))
        _, height, width, _ = batch.data.shape
        clip = Clip(kind="video", name="<frames>", times_s=times_s, height=height, width=width)
        self._readings.append(_Decoded(len(self.clips), clip.times_s, batch.data, rows))
        return self._append(clip)

    def _add_file(self, part: VideoPart, source: Source | Sequence[str]) -> int:
        request = SamplingRequest(
            fps=self._settings.fps if part.fps is None else part.fps,
            max_frames=self._settings.max_frames if part.max_frames is None else part.max_frames,
            start_s=part.start_s,
            end_s=part.end_s,
        )
        sampling = part.sampling or self._settings.sampling
        return self._append(self._walk(source).plan_clip(len(self.clips), sampling, request))

    def _walk(self, source: Source | Sequence[str]) -> "_Walk":
        key = _source_key(source)
        if key not in self._walks:
            video = open_video(source, num_threads=self._settings.num_threads)
            self._walks[key] = _Walk(self._cleanup.enter_context(video))
            self._readings.append(self._walks[key])
        return self._walks[key]

    def _append(self, clip: Clip) -> int:
        self.clips.append(clip)
        return len(self.clips) - 1


class _Reading(Protocol):
    def frames(self) -> Iterator[ClipFrame]: ...


@dataclass(frozen=True)
class _Stills:
    """Pictures from files or arrays; the first is decoded already, the others one by one."""

    clip: int
    parts: Sequence[ImagePart]
    first: NDArray[np.uint8]

    def frames(self) -> Iterator[ClipFrame]:
        yield ClipFrame(self.clip, self.parts[0].time_s, self.first)
        for part in self.parts[1:]:
            yield ClipFrame(self.clip, part.time_s, _pixels(part))


@dataclass(frozen=True)
class _Decoded:
    """Rows of a ``FrameBatch``."""

    clip: int
    times_s: tuple[float | None, ...]
    data: NDArray[np.uint8]
    rows: NDArray[np.int64]

    def frames(self) -> Iterator[ClipFrame]:
        for time_s, row in zip(self.times_s, self.rows, strict=True):
            yield ClipFrame(self.clip, time_s, self.data[row])


class _Walk:
    """Clips and frames of one file, decoded in one walk."""

    def __init__(self, video: Video) -> None:
        self._video = video
        self._clips: list[int] = []
        self._picks: list[Picks] = []

    def plan_clip(self, clip: int, sampling: str, request: SamplingRequest) -> Clip:
        return self._plan(clip, "video", self._video.plan(sampling, request))

    def plan_frames(
        self, clip: int, kind: Kind, pts_s: Sequence[float], times_s: Sequence[float | None]
    ) -> Clip:
        if any(later < earlier for earlier, later in pairwise(pts_s)):
            raise InputError(f"{self._video.info.name}: the frames of a stream go back in time: {pts_s}.")
        indices = self._video.timeline.nearest(np.array(pts_s))
        return self._plan(clip, kind, Picks(indices, np.array(times_s, np.float64)))

    def frames(self) -> Iterator[ClipFrame]:
        for number, time_s, pixels in self._video.iter_picks(self._picks):
            yield ClipFrame(self._clips[number], _known(time_s), pixels)

    def _plan(self, clip: int, kind: Kind, picks: Picks) -> Clip:
        self._clips.append(clip)
        self._picks.append(picks)
        info = self._video.info
        times_s = tuple(map(_known, picks.times_s.tolist()))
        return Clip(kind=kind, name=info.name, times_s=times_s, height=info.height, width=info.width)


def _pixels(part: ImagePart) -> NDArray[np.uint8]:
    assert not isinstance(part.source, VideoFrame), "frames of a video are decoded in its walk"
    if not isinstance(part.source, np.ndarray):
        return read_image(part.source)
    if part.source.dtype != np.uint8 or part.source.ndim != 3 or part.source.shape[-1] != 3:
        raise InputError(
            f"pixels of an image must be uint8 (H, W, 3), got {part.source.dtype} {part.source.shape}."
        )
    return part.source


def _known(time_s: float) -> float | None:
    """Times of files and batches are numbers, NaN where none is known."""
    return None if math.isnan(time_s) else time_s


def _source_key(source: Source | Sequence[str]) -> object:
    """Equal for two parts that name the same file."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return tuple(source) if isinstance(source, Sequence) and not isinstance(source, bytes) else id(source)


def _name(source: object) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return "<pixels>" if isinstance(source, np.ndarray) else "<image>"
