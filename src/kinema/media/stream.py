"""The video stream of one open file: its packets, and the frames they decode to."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from kinema.errors import MediaError
from kinema.media.container import MAX_PIXELS, Complaints, open_container
from kinema.media.source import OpenSource

_SKIPPING_CODECS = {"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video"}
"""Codecs whose decoder takes ``skip_frame`` frame by frame; that of AV1 reads it once, when it is opened."""

_MOST_STRETCHED = 16
"""Pixels of another aspect than 1/16 to 16 are damage, and taken for square."""


class VideoStream:
    """One walk through a file. Every walk opens the file for itself, so that walks do not disturb each other.

    Raises:
        MediaError: if the file cannot be opened or holds no video.
    """

    def __init__(self, source: OpenSource, *, num_threads: int, complaints: Complaints) -> None:
        self._source = source
        self._num_threads = num_threads
        self._complaints = complaints
        self._open()

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a stored pixel over its height, as the container or else the codec states it."""
        stated = self.stream.sample_aspect_ratio or Fraction(1)  # None or 0 where nobody does
        return stated if 1 <= max(stated, 1 / stated) <= _MOST_STRETCHED else Fraction(1)

    def packets(self) -> Iterator[Any]:
        """Packets that hold frames, from the present position on, as ``av.Packet``."""
        return (packet for packet in self.container.demux(self.stream) if packet.size > 0)

    def frames(self, wanted: set[int] | None = None) -> Iterator[Any]:
        """Each ``av.VideoFrame`` from the present position on, in the order shown, past damage.

        Args:
            wanted: presentation times, in the stream's time base. Frames that are neither wanted nor referred
                to by others need not come. None means all.
        """
        packets = self.container.demux(self.stream)
        while True:
            with self._complaints.caught():
                packet = self._next(packets)
                frames = self._decode(packet, wanted)
            yield from (frame for frame in frames if frame.width * frame.height <= MAX_PIXELS)
            if packet is None:
                return

    def seek(self, tick: int) -> bool:
        """Go to the keyframe at ``tick``; False where the container cannot. It may land elsewhere: look."""
        try:
            with self._complaints.caught():
                self.container.seek(tick, stream=self.stream)
        except (av.FFmpegError, OSError, OverflowError):
            return False
        return True

    def rewind(self) -> None:
        """Go to the beginning, in any container."""
        self.close()
        self._open()

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def _open(self) -> None:
        self.container = open_container(self._source)
        try:
            self.stream = _choose(self.container, self._source.name)
        except MediaError:
            self.container.close()
            raise
        for other in self.container.streams:
            if other is not self.stream:
                other.discard = av.stream.Discard.all
        context = self.stream.codec_context
        context.thread_count = self._num_threads
        context.thread_type = "NONE" if self._num_threads == 1 else "AUTO"

    def _next(self, packets: Iterator[Any]) -> Any:
        """The next packet; None at the end, and where the file breaks off."""
        try:
            return next(packets, None)
        except (av.FFmpegError, OSError):
            return None

    def _decode(self, packet: Any, wanted: set[int] | None) -> list[Any]:
        context = self.stream.codec_context
        if wanted is not None and context.name in _SKIPPING_CODECS:
            is_unwanted = packet is not None and packet.pts is not None and packet.pts not in wanted
            context.skip_frame = "NONREF" if is_unwanted else "DEFAULT"
        try:
            return self.stream.decode(packet)
        except (av.FFmpegError, OSError):
            return []


def _choose(container: Any, name: str) -> Any:
    """The video that a player would show; cover art of a sound file is not video."""
    videos = [stream for stream in container.streams.video if not _is_cover_art(stream)]
    if videos:
        stream = next((video for video in videos if _is_default(video)), videos[0])
        if stream.codec_context is None:
            raise MediaError(f"{name}: its video has a codec FFmpeg does not know; convert it to H.264.")
        return stream
    kinds = list(dict.fromkeys(stream.type for stream in container.streams))
    hint = "; use read_audio for the sound" if "audio" in kinds else ""
    if container.streams.video:
        raise MediaError(f"{name}: holds cover art, no video{hint}.")
    found = ", ".join(kinds) or "nothing"
    raise MediaError(f"{name}: holds no video (it is {container.format.name} with {found}){hint}.")


def _is_cover_art(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _is_default(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.default)
