"""Open a video, read frames of it with their times.

    with open_video("clip.mp4") as video:
        batch = video.read(fps=1.0, max_frames=180)            # FrameBatch: data (T, H, W, 3), pts_s (T,)

Times are presentation times as the container states them: the first frame of a file may be shown later than
0, and ``start_s``, ``end_s`` and ``pts_s`` all count on that clock. How few frames are decoded for it:
``media.decode``. Which frames: ``media.sample``. Frames keep the size they are stored in unless ``size`` is
given; 180 frames of 1080p are 1.1 GB then, so give a size, or take them one by one with ``iter_read``.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kinema.errors import InputError, MediaError
from kinema.media.audio import read_audio_open
from kinema.media.decode import FileDecoder
from kinema.media.frames import AudioClip, FrameBatch
from kinema.media.image_sequence import FOLDER_FPS, ImageSequence
from kinema.media.picture import DecodedFrame, SizeRule
from kinema.media.probe import VideoInfo, probe_open
from kinema.media.sample import Picks, Policy, SamplingRequest, select
from kinema.media.source import OpenSource, Source, opened
from kinema.media.timeline import Timeline


def open_video(
    source: Source | Sequence[str | os.PathLike[str]], *, image_fps: float = FOLDER_FPS, num_threads: int = 1
) -> "Video":
    """Open a video.

    Args:
        source: a path, an http(s) URL, the bytes of a file, an open binary file (which stays open); a folder
            of images, or a list of image files.
        image_fps: frames a second of a folder or list of images, which states none.
        num_threads: threads that decode this file. More are faster on one file, and take more memory.

    Raises:
        MediaError: if there is no such file, or it holds no video.
    """
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        return _of_images(ImageSequence.of_files(source, image_fps))
    if isinstance(source, str | os.PathLike) and Path(source).is_dir():
        return _of_images(ImageSequence.of_folder(Path(source), image_fps))
    cleanup = contextlib.ExitStack()
    try:
        file = cleanup.enter_context(opened(source))
        return Video(FileDecoder(file, num_threads=num_threads), probe_open(file), file, cleanup)
    except BaseException:
        cleanup.close()
        raise


def _of_images(images: ImageSequence) -> "Video":
    return Video(images, images.info, None, contextlib.ExitStack())


class Video:
    """One opened video; made by ``open_video``. Several readings of it may go on at once, on one thread."""

    def __init__(
        self,
        decoder: FileDecoder | ImageSequence,
        info: VideoInfo,
        file: OpenSource | None,
        cleanup: contextlib.ExitStack,
    ) -> None:
        self.info = info
        self._decoder = decoder
        self._file = file
        self._cleanup = cleanup

    @property
    def timeline(self) -> Timeline:
        """Presentation times of all frames, from the packets; nothing is decoded for it."""
        return self._decoder.timeline

    def read(
        self,
        *,
        sampling: str | Policy = "fps",
        fps: float | None = 1.0,
        max_frames: int = 180,
        num_frames: int | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        size: SizeRule | None = None,
    ) -> FrameBatch:
        """Read frames chosen by a sampling policy; at least one.

        Args:
            sampling: a name of ``media.sample.POLICIES``, or such a function. Published policies label frames
                with the times their systems print; ``fps``, ``uniform`` and ``keyframes`` with true ones.
            fps: frames a second.
            max_frames: most frames; a longer video is read more sparsely, never cut.
            num_frames: exact number, for policies that have one.
            start_s: presentation time to read from.
            end_s: presentation time to read up to; one past the end of the video means its end.
            size: a (height, width), or a rule such as ``at_most(pixels)``; applied while decoding, so that no
                more than one frame is held at full size. None keeps the stored size.

        Raises:
            InputError: if the video ends before ``start_s`` or begins after ``end_s``.
            ConfigError: if a setting cannot work.
            MediaError: if none of the wanted frames can be decoded.

        Warns:
            MediaWarning: if the end of the file is missing, or some of the wanted frames cannot be decoded.
        """
        request = SamplingRequest(
            fps=fps, max_frames=max_frames, num_frames=num_frames, start_s=start_s, end_s=end_s
        )
        return self._batches([self.plan(sampling, request)], size)[0]

    def read_ranges(
        self,
        ranges_s: Iterable[tuple[float | None, float | None]],
        *,
        sampling: str | Policy = "fps",
        fps: float | None = 1.0,
        max_frames: int = 180,
        num_frames: int | None = None,
        size: SizeRule | None = None,
    ) -> list[FrameBatch]:
        """Read several (start_s, end_s) ranges of the video as ``read`` would, decoding no frame twice."""
        requests = [
            SamplingRequest(
                fps=fps, max_frames=max_frames, num_frames=num_frames, start_s=start_s, end_s=end_s
            )
            for start_s, end_s in ranges_s
        ]
        return self._batches([self.plan(sampling, request) for request in requests], size)

    def frames_at(self, times_s: Sequence[float], *, size: SizeRule | None = None) -> FrameBatch:
        """Read the frames nearest to the given presentation times, in the given order.

        Raises:
            InputError: if no time is given.
            MediaError: if none of the frames can be decoded.
        """
        if len(times_s) == 0:
            raise InputError(f"{self._decoder.name}: no time is given; pass at least one.")
        indices = self.timeline.nearest(np.asarray(times_s, np.float64))
        return self._batches([Picks(indices, self.timeline.pts_s[indices])], size)[0]

    def iter_read(
        self,
        *,
        sampling: str | Policy = "fps",
        fps: float | None = 1.0,
        max_frames: int = 180,
        num_frames: int | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        size: SizeRule | None = None,
    ) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Like ``read``, but one (pts_s, frame (H, W, 3)) at a time, so that memory holds one frame."""
        request = SamplingRequest(
            fps=fps, max_frames=max_frames, num_frames=num_frames, start_s=start_s, end_s=end_s
        )
        for _, time_s, pixels in self.iter_picks([self.plan(sampling, request)], size=size):
            yield time_s, pixels

    def plan(self, sampling: str | Policy, request: SamplingRequest) -> Picks:
        """Which frames ``read`` would give, and their times; nothing is decoded for it.

        Raises:
            InputError: if the video ends before the time asked for, or begins after it.
        """
        self._check_range(request.start_s, request.end_s)
        return select(self.timeline, sampling, request)

    def iter_picks(
        self, selections: Sequence[Picks], *, size: SizeRule | None = None
    ) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
        """Read what was planned, in one walk that decodes no frame twice.

        Yields:
            Which selection, pts_s and frame (H, W, 3), in the order of the video; memory holds one frame.
        """
        wanted = np.unique(np.concatenate([picks.indices for picks in selections]))
        for found in self._decoder.frames(wanted.tolist(), size):
            for number, picks in enumerate(selections):
                for time_s in picks.times_s[picks.indices == found.wanted]:
                    yield number, float(time_s) + _delay_s(found, self.timeline), found.pixels

    def iter_frames(
        self, *, start_s: float | None = None, end_s: float | None = None, size: SizeRule | None = None
    ) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Every frame of the video or of a part of it, one (pts_s, frame (H, W, 3)) at a time."""
        self._check_range(start_s, end_s)
        for found in self._decoder.frames(self.timeline.between(start_s, end_s), size):
            yield float(self.timeline.pts_s[found.index]), found.pixels

    def audio(
        self,
        *,
        sample_rate: int = 16_000,
        num_channels: int = 1,
        start_s: float | None = None,
        end_s: float | None = None,
    ) -> AudioClip:
        """Read the sound track, or a part of it; see ``read_audio``.

        Raises:
            MediaError: if there is none.
        """
        if self._file is None:
            raise MediaError(f"{self._decoder.name}: images have no sound track.")
        return read_audio_open(
            self._file, sample_rate=sample_rate, num_channels=num_channels, start_s=start_s, end_s=end_s
        )

    def close(self) -> None:
        """Close the file; a downloaded copy is deleted."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_range(self, start_s: float | None, end_s: float | None) -> None:
        timeline = self.timeline
        if start_s is not None and start_s >= timeline.end_s:
            raise InputError(
                f"{self._decoder.name}: asked for {start_s} s on, but the video ends at "
                f"{timeline.end_s:.3f} s. Lower start_s, or pass start_s=None for the beginning."
            )
        if end_s is not None and end_s < timeline.start_s:
            raise InputError(
                f"{self._decoder.name}: asked up to {end_s} s, but the video begins at "
                f"{timeline.start_s:.3f} s. Raise end_s, or pass end_s=None for the end."
            )

    def _batches(self, selections: Sequence[Picks], size: SizeRule | None) -> list[FrameBatch]:
        """Decode the frames of all selections in one walk, and give each its own."""
        if not selections:
            return []
        wanted = np.unique(np.concatenate([picks.indices for picks in selections]))
        batches = [_BatchBuilder(picks, self.timeline) for picks in selections]
        for found in self._decoder.frames(wanted.tolist(), size):
            for batch in batches:
                batch.put(found)
        return [batch.build(self._decoder.name) for batch in batches]


class _BatchBuilder:
    """Collects the frames of one selection as they are decoded."""

    def __init__(self, picks: Picks, timeline: Timeline) -> None:
        self._picks = picks
        self._timeline = timeline
        self._times_s = picks.times_s.copy()
        self._is_there = np.zeros(len(picks.indices), np.bool_)
        self._data: NDArray[np.uint8] | None = None

    def put(self, found: DecodedFrame) -> None:
        rows = np.flatnonzero(self._picks.indices == found.wanted)
        if len(rows) == 0:
            return
        if self._data is None:
            self._data = np.empty((len(self._picks.indices), *found.pixels.shape), np.uint8)
        self._data[rows] = found.pixels
        self._times_s[rows] += _delay_s(found, self._timeline)
        self._is_there[rows] = True

    def build(self, name: str) -> FrameBatch:
        if self._data is None:
            raise MediaError(f"{name}: none of the {len(self._times_s)} frames of one range can be decoded.")
        if self._is_there.all():
            return FrameBatch(data=self._data, pts_s=self._times_s, duration_s=self._timeline.duration_s)
        return FrameBatch(
            data=self._data[self._is_there],
            pts_s=self._times_s[self._is_there],
            duration_s=self._timeline.duration_s,
        )


def _delay_s(found: DecodedFrame, timeline: Timeline) -> float:
    """How much later than the wanted frame the one that stands in for it is shown; 0 for the frame itself."""
    return float(timeline.pts_s[found.index] - timeline.pts_s[found.wanted])
