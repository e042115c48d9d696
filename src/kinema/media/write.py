"""Frames and sound to a file: MP4, fragmented MP4, MKV, WebM or GIF, encoded as they come.

One frame is in memory at a time, so an hour of video costs no more than a second of it. The same input gives
the same bytes with the same FFmpeg: no time of day, no random ids, one thread.

Letters: H W pixels, N sound samples, C sound channels.
"""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from kinema.errors import InputError, MediaError
from kinema.media.frames import AudioClip

Target = str | os.PathLike[str] | BinaryIO

_VARIABLE_RATE_TICKS = 90_000
"""Ticks a second when times are given one by one: the clock of MPEG, fine enough for every container."""

_STEADY_OPTIONS = {"libx264": {"x264-params": "mbtree=0"}}
"""Options without which an encoder gives other bytes now and then: with x264's tree of macroblocks one clip
of 64 x 64 pixels became 28 different files in 40 runs."""

_AUDIO_CHUNK = 1024
"""Sound samples handed to the encoder at once: one AAC frame."""


@dataclass(frozen=True, kw_only=True)
class _Container:
    """What FFmpeg calls a container, and codecs that its players read."""

    muxer: str
    codec: str = "libx264"
    audio_codec: str | None = "aac"
    pixel_format: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=dict)


_CONTAINERS = {
    "mp4": _Container(muxer="mp4"),
    "fragmented_mp4": _Container(
        muxer="mp4", options={"movflags": "frag_keyframe+delay_moov+default_base_moof"}
    ),
    "mkv": _Container(muxer="matroska"),
    "webm": _Container(muxer="webm", codec="libvpx-vp9", audio_codec="libopus"),
    "gif": _Container(muxer="gif", codec="gif", audio_codec=None, pixel_format="pal8"),
}


def write_video(
    target: Target,
    frames: Iterable[NDArray[np.uint8]],
    *,
    fps: float | Fraction,
    times_s: Sequence[float] | None = None,
    audio: AudioClip | None = None,
    container: str | None = None,
    codec: str | None = None,
    audio_codec: str | None = None,
    pixel_format: str | None = None,
    crf: int = 20,
    codec_options: Mapping[str, str] | None = None,
    rotation: int = 0,
    comment: str | None = None,
) -> None:
    """Encode frames, and sound if there is any, into one file.

    A path is written under a temporary name and renamed when it is complete, so that a file with the final
    name is always whole. Chroma of ``yuv420p`` covers two by two pixels: an odd height or width is made even
    by repeating the last row or column. Ask for ``pixel_format="yuv444p"`` to keep an odd size.

    Args:
        target: where to write, or a binary file object (then ``container`` is needed).
        frames: uint8 (H, W, 3) RGB, all of one size; read one at a time.
        fps: frames a second, above 0.
        times_s: when each frame is shown, in seconds, increasing from 0 or later: for a variable rate, or a
            start that is not 0. The last frame lasts ``1 / fps``. By default frame i is shown at ``i / fps``.
        audio: sound of the same clip, placed by its ``start_s``, 0 or later.
        container: ``mp4``, ``fragmented_mp4``, ``mkv``, ``webm`` or ``gif``; by default the name's ending.
        codec: FFmpeg's name of the video encoder; by default ``libx264``, in WebM ``libvpx-vp9``.
        audio_codec: FFmpeg's name of the sound encoder; by default ``aac``, in WebM ``libopus``.
        pixel_format: FFmpeg's name of the stored pixel format; by default ``yuv420p``, in GIF ``pal8``.
        crf: quality of encoders that know it, lower is better; 18 can hardly be told from the original.
        codec_options: further options of the video encoder, such as ``{"g": "250", "preset": "ultrafast"}``.
        rotation: degrees, a multiple of 90, by which a player turns the frames counter-clockwise.
        comment: a note in the container, which ``probe`` reads back; a GIF has no place for one.

    Raises:
        InputError: if there is no frame, a frame is not uint8 RGB of the first one's size, times do not match
            the frames or do not increase, or the container cannot hold what is asked.
        MediaError: if FFmpeg cannot encode or write it.
    """
    chosen = _choose_container(target, container)
    if audio is not None and chosen.audio_codec is None:
        raise InputError(f"{_name(target)}: a GIF holds no sound; leave out audio, or write an MP4.")
    rate = Fraction(fps).limit_denominator(1_001_000)
    if rate <= 0:
        raise InputError(f"fps must be above 0, got {fps}.")
    clock = _Clock(rate) if times_s is None else _Clock(rate, times_s)

    chosen_codec = codec or chosen.codec
    steady = _STEADY_OPTIONS.get(chosen_codec, {})
    with _finished_or_absent(target) as destination, _encoder_errors(target):
        options = {"fflags": "+bitexact", **chosen.options}
        with av.open(destination, "w", format=chosen.muxer, container_options=options) as output:
            if comment is not None:
                output.metadata["comment"] = comment
            video = _VideoTrack(
                output,
                clock,
                codec=chosen_codec,
                pixel_format=pixel_format or chosen.pixel_format,
                options={"threads": "1", "crf": str(crf), **steady, **(codec_options or {})},
                rotation=rotation,
            )
            sound = None
            if audio is not None:
                sound = _SoundTrack(output, audio, codec=audio_codec or str(chosen.audio_codec))
            for index, frame in enumerate(frames):
                packets = video.encode(frame, index)  # opens the encoder on the first frame
                if sound is not None:
                    output.mux(sound.encode_until(clock.time_s(index)))
                output.mux(packets)
            output.mux(video.finish())
            if sound is not None:
                output.mux(sound.finish())


class _Clock:
    """Frame numbers to ticks of the encoder."""

    def __init__(self, rate: Fraction, times_s: Sequence[float] | None = None) -> None:
        self.rate = rate
        self.time_base = 1 / rate if times_s is None else Fraction(1, _VARIABLE_RATE_TICKS)
        self._ticks = (
            None if times_s is None else [round(time_s * _VARIABLE_RATE_TICKS) for time_s in times_s]
        )
        ticks = self._ticks or [0]
        if ticks[0] < 0 or any(later <= earlier for earlier, later in itertools.pairwise(ticks)):
            raise InputError(f"times_s must increase from 0 or later, got {list(times_s or [])[:8]}...")

    def pts(self, index: int) -> int:
        if self._ticks is None:
            return index
        if index >= len(self._ticks):
            raise InputError(f"times_s holds {len(self._ticks)} times, but there are more frames.")
        return self._ticks[index]

    def duration(self, index: int) -> int:
        if self._ticks is None:
            return 1
        if index + 1 < len(self._ticks):
            return self._ticks[index + 1] - self._ticks[index]
        return round(_VARIABLE_RATE_TICKS / self.rate)

    def time_s(self, index: int) -> float:
        return float(self.pts(index) * self.time_base)

    def check_count(self, num_frames: int) -> None:
        if self._ticks is not None and len(self._ticks) != num_frames:
            raise InputError(f"times_s holds {len(self._ticks)} times for {num_frames} frames.")


class _VideoTrack:
    """The video stream of a file being written; its size is that of the first frame."""

    def __init__(
        self,
        output: Any,
        clock: _Clock,
        *,
        codec: str,
        pixel_format: str,
        options: Mapping[str, str],
        rotation: int,
    ) -> None:
        self._clock = clock
        self._stream = _add_stream(output, codec, rate=clock.rate, options=dict(options))
        self._stream.pix_fmt = pixel_format
        self._stream.codec_context.time_base = clock.time_base
        if rotation:
            self._stream.set_display_rotation(rotation)
        self._shape: tuple[int, ...] | None = None
        self._palette: Any = None
        self._num_frames = 0

    def encode(self, frame: NDArray[np.uint8], index: int) -> list[Any]:
        """Packets that this frame completes; often none, as encoders look ahead."""
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
            raise InputError(f"frame {index} must be uint8 (H, W, 3), got {frame.dtype} {frame.shape}.")
        if self._shape is None:
            self._open(frame)
        if frame.shape != self._shape:
            raise InputError(f"frame {index} is {frame.shape}, the first one is {self._shape}; use one size.")
        if self._stream.pix_fmt.startswith("yuv420"):
            frame = _pad_to_even(frame)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts = self._clock.pts(index)
        picture.duration = self._clock.duration(index)
        picture.time_base = self._clock.time_base
        if self._palette is not None:
            self._palette.push(picture)
            picture = self._palette.pull()
        self._num_frames += 1
        return self._stream.encode(picture)

    def finish(self) -> list[Any]:
        if self._num_frames == 0:
            raise InputError("there is no frame to write; a video needs at least one.")
        self._clock.check_count(self._num_frames)
        return self._stream.encode(None)

    def _open(self, frame: NDArray[np.uint8]) -> None:
        self._shape = frame.shape
        height, width = frame.shape[:2]
        if self._stream.pix_fmt.startswith("yuv420"):
            height, width = height + height % 2, width + width % 2
        self._stream.height, self._stream.width = height, width
        if self._stream.pix_fmt == "pal8":
            self._palette = _per_frame_palette(height, width, self._clock.time_base)


class _SoundTrack:
    """The sound stream of a file being written, encoded in step with the video."""

    def __init__(self, output: Any, audio: AudioClip, *, codec: str) -> None:
        if audio.start_s < 0:
            raise InputError(f"audio.start_s must be 0 or later, got {audio.start_s}.")
        layout = {1: "mono", 2: "stereo"}.get(audio.data.shape[1])
        if layout is None:
            raise InputError(f"sound must have 1 or 2 channels, got {audio.data.shape[1]}.")
        self._audio = audio
        self._layout = layout
        rate = (
            48_000 if codec == "libopus" else audio.sample_rate
        )  # Opus knows a few rates only; it resamples
        self._stream = _add_stream(output, codec, rate=rate, layout=layout)
        self._next = 0

    def encode_until(self, time_s: float) -> list[Any]:
        """Packets of the sound up to ``time_s``."""
        audio = self._audio
        end = min(len(audio.data), round((time_s - audio.start_s) * audio.sample_rate))
        packets: list[Any] = []
        while self._next < end:
            packets += self._encode_chunk()
        return packets

    def finish(self) -> list[Any]:
        return self.encode_until(self._audio.start_s + self._audio.duration_s) + self._stream.encode(None)

    def _encode_chunk(self) -> list[Any]:
        audio = self._audio
        chunk = np.ascontiguousarray(audio.data[self._next : self._next + _AUDIO_CHUNK].T)  # (C, N)
        frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout=self._layout)
        frame.sample_rate = audio.sample_rate
        frame.pts = self._next + round(audio.start_s * audio.sample_rate)
        frame.time_base = Fraction(1, audio.sample_rate)
        self._next += chunk.shape[1]
        return self._stream.encode(frame)


def _add_stream(output: Any, codec: str, **settings: Any) -> Any:
    try:
        return output.add_stream(codec, **settings)
    except ValueError as error:  # PyAV's, for a codec it does not know or the container does not hold
        raise InputError(
            f"cannot write {codec}: {error}. Leave the codec out to get one that fits."
        ) from error


def _choose_container(target: Target, container: str | None) -> _Container:
    if container is None:
        if not isinstance(target, str | os.PathLike):
            raise InputError(
                f"a file object has no name to tell its kind; pass container, one of {_known()}."
            )
        container = Path(target).suffix.lstrip(".").lower()
    if container not in _CONTAINERS:
        raise InputError(f"{_name(target)}: cannot write '{container}'; the kinds are {_known()}.")
    return _CONTAINERS[container]


def _known() -> str:
    return ", ".join(_CONTAINERS)


def _name(target: Target) -> str:
    return (
        os.fspath(target) if isinstance(target, str | os.PathLike) else str(getattr(target, "name", "output"))
    )


@contextlib.contextmanager
def _finished_or_absent(target: Target) -> Iterator[str | BinaryIO]:
    """Where to write: under a temporary name that becomes the real one when all went well."""
    if not isinstance(target, str | os.PathLike):
        yield target
        return
    path = Path(target)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield str(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _encoder_errors(target: Target) -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise MediaError(f"{_name(target)}: cannot be written: {error}.") from error


def _pad_to_even(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return frame
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _per_frame_palette(height: int, width: int, time_base: Fraction) -> Any:
    """A filter from RGB to 256 colours chosen for each frame, so that no frame waits for a later one."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=time_base)
    split = graph.add("split")
    choose = graph.add("palettegen", "stats_mode=single")
    use = graph.add("paletteuse", "new=1:dither=none")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(choose, 0, 0)
    split.link_to(use, 1, 0)
    choose.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph
