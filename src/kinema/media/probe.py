"""What a file says about itself, before any frame of it is asked for."""

from dataclasses import dataclass
from typing import Any

from av.video.reformatter import ColorTrc

from kinema.errors import MediaError
from kinema.media.container import Complaints
from kinema.media.picture import Orientation, shown_size
from kinema.media.source import OpenSource, Source, opened
from kinema.media.stream import VideoStream

_HDR_TRANSFERS = {ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67}
"""PQ and HLG (ITU-R BT.2100)."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """A video as its container states it; the picture's size is that of its first decoded frame."""

    name: str
    """Path, URL, or a description of bytes."""
    container: str
    """FFmpeg's short name, such as ``mov,mp4,m4a,3gp,3g2,mj2``."""
    codec: str
    """FFmpeg's short name, such as ``h264``."""
    pixel_format: str
    """As stored, such as ``yuv420p10le``."""
    width: int
    """Pixels of the upright picture, which are square."""
    height: int
    """Pixels of the upright picture, which are square."""
    pixel_aspect: float
    """Width of a stored pixel over its height; where it is not 1, frames are stretched to square pixels."""
    rotation: int
    """Degrees by which the stored picture is turned counter-clockwise to be upright: 0, 90, 180 or 270."""
    is_interlaced: bool
    """Whether the first frame is flagged as two fields; frames are given as stored, not deinterlaced."""
    is_hdr: bool
    """Whether the first frame is coded for high dynamic range; frames come as coded, not mapped to less."""
    average_fps: float | None
    """Frames a second on average; None where the container states none."""
    num_frames: int | None
    """Frames the container claims; None where it states none. ``len(video.timeline)`` counts them."""
    start_s: float | None
    """Presentation time of the first frame; None where the container states none."""
    duration_s: float | None
    """Length of the video in seconds; None where the container states none."""
    has_audio: bool
    """Whether there is a sound track."""
    audio_sample_rate: int | None
    """Samples per second of the first sound track."""
    audio_channels: int | None
    """Channels of the first sound track."""
    comment: str | None = None
    """A note in the container, such as who made the file."""


def probe(source: Source) -> VideoInfo:
    """Look at a video file; decodes one frame.

    Raises:
        MediaError: if it is missing, not a media file, holds no video, or not one frame can be decoded.
    """
    with opened(source) as file:
        return probe_open(file)


def probe_open(source: OpenSource) -> VideoInfo:
    """Like ``probe``, for a source that is already open."""
    complaints = Complaints()
    video = VideoStream(source, num_threads=1, complaints=complaints)
    try:
        frame = next(video.frames(), None)
        if frame is None:
            raise MediaError(
                f"{source.name}: not one frame of its {video.stream.codec_context.name} video can be decoded "
                f"({complaints or 'FFmpeg does not say why'}). The file is damaged; copy it again."
            )
        return _describe(source.name, video, frame)
    finally:
        video.close()


def _describe(name: str, video: VideoStream, frame: Any) -> VideoInfo:
    container, stream = video.container, video.stream
    orientation = Orientation.of_frame(frame)
    pixel_aspect = video.pixel_aspect
    height, width = orientation.size(*shown_size(frame.height, frame.width, pixel_aspect))
    audio = next(iter(container.streams.audio), None)
    sound = audio and audio.codec_context  # None also where FFmpeg does not know the codec
    return VideoInfo(
        name=name,
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=frame.format.name,
        width=width,
        height=height,
        pixel_aspect=float(pixel_aspect),
        rotation=frame.rotation % 360,
        is_interlaced=frame.interlaced_frame,
        is_hdr=frame.color_trc in _HDR_TRANSFERS,
        average_fps=float(stream.average_rate) if stream.average_rate else None,
        num_frames=stream.frames or None,
        start_s=None if stream.start_time is None else float(stream.start_time * stream.time_base),
        duration_s=_duration_s(container, stream),
        has_audio=audio is not None,
        audio_sample_rate=None if sound is None else sound.rate,
        audio_channels=None if sound is None else sound.channels,
        comment=container.metadata.get("comment") or container.metadata.get("COMMENT"),
    )


def _duration_s(container: Any, stream: Any) -> float | None:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1e6
