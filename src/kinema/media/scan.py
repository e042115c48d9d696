"""The times of all frames of a file, from its packets, without decoding any.

A container's header does not say when each frame is shown: rates are averages, frame counts may be absent or
wrong, and a tail may be missing. The packets say it. Reading them costs one pass over the file and no
decoding: measured 1.6 s for 90,000 frames in 1.2 GB.
"""

import re
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from kinema.errors import MediaError
from kinema.media.container import Complaints
from kinema.media.stream import VideoStream
from kinema.media.timeline import Timeline

_FORMATS_WITHOUT_CLOCK = ("avi",)
"""Packets of these carry the order of decoding in place of presentation times."""

_ASSUMED_RATES = {"gif": 25.0}
"""Rates that published loaders assume whatever the file says (VideoLLaMA3, ``load_video``)."""

_MATROSKA_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
"""The tag in which FFmpeg and mkvmerge state when a stream ends."""

_LOWEST_RATE, _HIGHEST_RATE = 1e-4, 1e5
"""Frames a second that a header may state; what lies outside is damage, and the rate is measured instead."""

_TAIL_TOLERANCE_S = 0.5
"""A video may end this much before its container does, as sound often lasts longer."""


@dataclass(frozen=True, kw_only=True)
class PacketScan:
    """What the packets of a video stream say."""

    timeline: Timeline
    ticks: NDArray[np.int64]
    """(N,) presentation times in units of the stream's time base, increasing; one a frame of the timeline."""
    has_clock: bool
    """False where packets carry no presentation times: the k-th decoded frame then has the k-th time."""
    missing: str | None
    """What is not there though the header promises it."""


def scan_packets(video: VideoStream, name: str, complaints: Complaints) -> PacketScan:
    """Read every packet of a stream that stands at its start.

    Raises:
        MediaError: if the stream holds no packet.
    """
    container, stream = video.container, video.stream
    pts, durations, keyframes = [], [], []
    num_packets, stopped = 0, None
    with complaints.caught():
        try:
            for packet in video.packets():
                num_packets += 1
                if packet.is_discard:  # decoded for others, never shown: an edit list
                    continue
                pts.append(packet.pts if packet.pts is not None else packet.dts)
                durations.append(packet.duration or 0)
                keyframes.append(packet.is_keyframe)
        except (av.FFmpegError, OSError) as error:
            stopped = str(error)
    if not pts:
        raise MediaError(
            f"{name}: holds no video frame ({complaints or 'there is no packet'}); copy it again."
        )
    has_clock = container.format.name not in _FORMATS_WITHOUT_CLOCK
    if any(tick is None for tick in pts):  # a bare H.264 stream states durations only
        has_clock, pts = False, [0, *np.cumsum(durations[:-1]).tolist()]
    ticks, first_seen = np.unique(np.array(pts, np.int64), return_index=True)
    timeline = _timeline(
        container, stream, ticks, np.array(durations)[first_seen], np.array(keyframes)[first_seen]
    )
    return PacketScan(
        timeline=timeline,
        ticks=ticks,
        has_clock=has_clock,
        missing=_missing(container, stream, timeline, num_packets, stopped),
    )


def _timeline(
    container: Any,
    stream: Any,
    ticks: NDArray[np.int64],
    durations: NDArray[np.int64],
    keyframes: NDArray[np.bool_],
) -> Timeline:
    pts_s = _seconds(ticks, stream)
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        rate = (len(ticks) - 1) / (pts_s[-1] - pts_s[0]) if len(ticks) > 1 else 1.0
    last_ticks = int(durations[-1]) or round(1 / (rate * stream.time_base))
    return Timeline(
        pts_s=pts_s,
        is_keyframe=keyframes,
        end_s=float(_seconds(ticks[-1:] + last_ticks, stream)[0]),
        rate=rate,
        assumed_rate=_ASSUMED_RATES.get(container.format.name),
    )


def _seconds(ticks: NDArray[np.int64], stream: Any) -> NDArray[np.float64]:
    """Multiplied before divided, so that 3 ticks of a tenth are 0.3 and not the float above it."""
    return ticks.astype(np.float64) * stream.time_base.numerator / stream.time_base.denominator


def _missing(
    container: Any, stream: Any, timeline: Timeline, num_packets: int, stopped: str | None
) -> str | None:
    stated_end_s = _stated_end_s(container, stream)
    because = f" ({stopped})" if stopped else ""
    if stream.frames > num_packets:
        seconds = "" if stated_end_s is None else f", {max(0.0, stated_end_s - timeline.end_s):.1f} s,"
        num_missing = stream.frames - num_packets
        return f"{num_missing} of {stream.frames} frames{seconds} are missing at the end{because}"
    if stated_end_s is not None and stated_end_s - timeline.end_s > _TAIL_TOLERANCE_S:
        return (
            f"the video ends at {timeline.end_s:.1f} s of {stated_end_s:.1f} s, "
            f"{stated_end_s - timeline.end_s:.1f} s are missing at the end{because}"
        )
    return f"reading stopped at {timeline.end_s:.1f} s{because}" if stopped else None


def _stated_end_s(container: Any, stream: Any) -> float | None:
    """When the header says that the video ends; None where it says nothing about this stream."""
    if stream.duration is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    if tag := _MATROSKA_DURATION.fullmatch(stream.metadata.get("DURATION", "")):
        return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
    if container.duration is not None and len(container.streams) == 1:
        return ((container.start_time or 0) + container.duration) / av.time_base
    return None
