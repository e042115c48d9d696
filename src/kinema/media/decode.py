"""Wanted frames of a video file, at the cost of those frames.

The packets are read once for their times (``scan``). Between two wanted frames the decoder either goes on or
seeks: it seeks when a keyframe lies between, as everything before that keyframe would be decoded for nothing.
On the way from a keyframe to a wanted frame, frames that no other frame refers to are not decoded, and only
wanted frames are converted to RGB. FFmpeg finds the place by guessing in containers without an index, such as
MPEG-TS: a seek that lands late is noticed by the time of its first frame, an earlier keyframe is tried, and
at last decoding starts over from the beginning of the file and never seeks in it again.
"""

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from kinema.errors import MediaError, MediaWarning
from kinema.media.container import Complaints, reason
from kinema.media.picture import DecodedFrame, SizeRule, ToRGB
from kinema.media.scan import PacketScan, scan_packets
from kinema.media.source import OpenSource
from kinema.media.stream import VideoStream
from kinema.media.timeline import Timeline

_WORTH_A_SEEK = 4
"""Frames that a seek must save; a seek also empties the decoder's queue of frames still to be shown."""


class FileDecoder:
    """Decodes frames of one file by their index on its timeline."""

    def __init__(self, source: OpenSource, *, num_threads: int = 1) -> None:
        self.name = source.name
        self._source = source
        self._num_threads = num_threads

    @cached_property
    def timeline(self) -> Timeline:
        """Times of all frames; warns once if the file is not all there."""
        if self._scan.missing is not None:
            warnings.warn(
                f"{self.name}: {self._scan.missing}; what is there is read.", MediaWarning, stacklevel=3
            )
        return self._scan.timeline

    def frames(self, indices: Sequence[int], size: SizeRule | None) -> Iterator[DecodedFrame]:
        """Decode the frames at ``indices`` of the timeline, which increase.

        Yields:
            The frames. Where one cannot be decoded, the nearest one that can stands in; no frame comes twice,
            and a warning says how many are lost.

        Raises:
            MediaError: if none of them can be decoded.
        """
        complaints = self._new_complaints()
        stream = self._walk(complaints)
        try:
            to_rgb = ToRGB(size, pixel_aspect=stream.pixel_aspect)
            cursor = _Cursor(stream, self._scan, indices)
            last_given, num_damaged = -1, 0
            for wanted in indices:
                found = cursor.frame_at(wanted)
                if found is not None and found[0] > last_given:
                    last_given, frame = found
                    num_damaged += frame.is_corrupt
                    yield DecodedFrame(wanted, last_given, self._convert(to_rgb, frame, complaints))
        finally:
            stream.close()
        if last_given < 0:
            raise MediaError(
                f"{self.name}: none of {len(indices)} wanted frames can be decoded{_because(complaints)}. "
                "The file is damaged; copy it again, or ask for another time."
            )
        self._report(len(indices) - cursor.num_exact, num_damaged, len(indices), complaints)

    @cached_property
    def _scan(self) -> PacketScan:
        complaints = self._new_complaints()
        stream = self._walk(complaints)
        try:
            return scan_packets(stream, self.name, complaints)
        finally:
            stream.close()

    def _new_complaints(self) -> Complaints:
        return Complaints(has_threads=self._num_threads != 1)

    def _walk(self, complaints: Complaints) -> VideoStream:
        return VideoStream(self._source, num_threads=self._num_threads, complaints=complaints)

    def _convert(self, to_rgb: ToRGB, frame: Any, complaints: Complaints) -> NDArray[np.uint8]:
        try:
            with complaints.caught():
                return to_rgb(frame)
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(
                f"{self.name}: frames of the pixel format {frame.format.name} cannot be turned into RGB "
                f"({reason(error, complaints)}). Convert the file to H.264 with yuv420p."
            ) from error

    def _report(self, num_lost: int, num_damaged: int, num_wanted: int, complaints: Complaints) -> None:
        troubles = []
        if num_lost:
            troubles.append(f"{num_lost} cannot be decoded, their neighbours stand in where there are any")
        if num_damaged:
            troubles.append(f"{num_damaged} are damaged, FFmpeg painted over what it could not decode")
        if troubles:
            message = (
                f"{self.name}: of {num_wanted} wanted frames {'; '.join(troubles)}{_because(complaints)}."
            )
            warnings.warn(message, MediaWarning, stacklevel=4)


def _because(complaints: Complaints) -> str:
    return f" (FFmpeg says: {complaints})" if complaints else ""


class _Cursor:
    """Where decoding stands in a file; it moves forward, by decoding or by seeking."""

    def __init__(self, stream: VideoStream, scan: PacketScan, indices: Sequence[int]) -> None:
        self._stream = stream
        self._scan = scan
        self._wanted = {int(scan.ticks[index]) for index in indices} if scan.has_clock else None
        self._keyframes = np.flatnonzero(scan.timeline.is_keyframe)
        self._can_seek = scan.has_clock
        self._frames = self._numbered()
        self._previous: tuple[int, Any] | None = None
        self._current: tuple[int, Any] | None = None
        self.num_exact = 0

    def frame_at(self, index: int) -> tuple[int, Any] | None:
        """The frame at ``index``, or the nearest one that can be decoded; with its own index."""
        self._skip_to_keyframe_before(index)
        while self._current is None or self._current[0] < index:
            if not self._step():
                break
        if self._current is not None and self._current[0] == index:
            self.num_exact += 1
            return self._current
        candidates = [frame for frame in (self._previous, self._current) if frame is not None]
        return min(candidates, key=lambda frame: abs(frame[0] - index), default=None)

    def _skip_to_keyframe_before(self, index: int) -> None:
        """Seek if that saves decoding."""
        position = -1 if self._current is None else self._current[0]
        at = int(np.searchsorted(self._keyframes, index, side="right")) - 1
        if not self._can_seek or at < 0 or self._keyframes[at] - position < _WORTH_A_SEEK:
            return
        for keyframe in self._keyframes[max(0, at - 1) : at + 1][::-1]:
            if self._stream.seek(int(self._scan.ticks[keyframe])):
                self._frames = self._numbered()
                if self._step() and self._current is not None and self._current[0] <= index:
                    return
        self._can_seek = False
        self._stream.rewind()
        self._frames = self._numbered()
        self._previous = self._current = None

    def _step(self) -> bool:
        """Decode one frame on; False at the end, where the present frame stays."""
        following = next(self._frames, None)
        if following is not None:
            self._previous, self._current = self._current, following
        return following is not None

    def _numbered(self) -> Iterator[tuple[int, Any]]:
        """Decoded frames with their indices on the timeline."""
        last = len(self._scan.ticks) - 1
        for ordinal, frame in enumerate(self._stream.frames(self._wanted)):
            if not self._scan.has_clock:
                yield min(ordinal, last), frame
            elif frame.pts is not None:
                yield min(int(np.searchsorted(self._scan.ticks, frame.pts)), last), frame
