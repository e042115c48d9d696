"""Whether media are there and can be decoded, and whether the times asked for are in them.

Of a video the first and the last frame of the wanted part are decoded, and the sound around them; of an image
all; of a sound its beginning and end, where its header says how long it is.
"""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kinema.datasets.fault import Fault
from kinema.errors import ConfigError, InputError, MediaError, MediaWarning
from kinema.media.audio import read_audio_open, stated_span_s
from kinema.media.image import read_depth_map, read_image
from kinema.media.source import opened
from kinema.media.video import Video, open_video
from kinema.processors.messages import AudioPart, ImagePart, Part, VideoFrame, VideoPart

TOLERANCE_S = 0.5
"""How far a time may lie behind the end: annotators round, and sound often ends later than the picture."""
_HEARD_S = 1.0
"""Sound that is decoded at each end."""
_RATE = 16_000


class Trouble(NamedTuple):
    """What is wrong."""

    fault: Fault
    complaint: str


class Seen(NamedTuple):
    """What came of looking at a medium."""

    trouble: Trouble | None
    end_s: float | None = None
    """When a video or sound ends."""


def look_at(part: Part) -> Seen:
    """Open and decode what a part of a message shows."""
    if (isinstance(part, ImagePart) and isinstance(part.source, VideoFrame)) or type(part) not in _LOOKS:
        return Seen(None)
    source = getattr(part, "source", None)
    if isinstance(source, Path) and (trouble := _missing(source)):
        return Seen(trouble)
    if trouble := _absurd_times(part):
        return Seen(trouble)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            seen = _LOOKS[type(part)](part)
        except MediaError as error:
            return Seen(Trouble(Fault.UNREADABLE, str(error)))
        except InputError as error:
            return Seen(Trouble(Fault.OUTSIDE, str(error)))
        except ConfigError as error:
            return Seen(Trouble(Fault.MALFORMED, str(error)))
    damage = next((str(one.message) for one in said if issubclass(one.category, MediaWarning)), None)
    if seen.trouble is None and damage is not None:
        return seen._replace(trouble=Trouble(Fault.UNREADABLE, damage))
    return seen


def _missing(path: Path) -> Trouble | None:
    try:
        is_there = path.exists()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        return Trouble(Fault.MISSING, f"{path}: {error.strerror}.")
    return None if is_there else Trouble(Fault.MISSING, f"{path}: there is no such file.")


def _absurd_times(part: Part) -> Trouble | None:
    times = [getattr(part, name, None) for name in ("start_s", "end_s")]
    for time_s in times:
        if time_s is not None and not (isinstance(time_s, int | float) and math.isfinite(time_s)):
            return Trouble(Fault.MALFORMED, f"times are numbers of seconds, got {time_s!r}.")
    start_s, end_s = times
    if (start_s or 0.0) < 0 or (end_s is not None and end_s <= (start_s or 0.0)):
        return Trouble(Fault.OUTSIDE, f"there is nothing from {start_s} to {end_s} s.")
    return None


def _look_at_image(part: ImagePart) -> Seen:
    read: Callable[[Any], Any] = read_depth_map if part.modality == "depth" else read_image
    read(part.source)
    return Seen(None)


def _look_at_video(part: VideoPart) -> Seen:
    with open_video(part.source) as video:  # type: ignore[arg-type]  # rows hold no decoded frames
        timeline = video.timeline
        trouble = _outside(part, timeline.start_s, timeline.end_s, video.info.name)
        if trouble is None:
            wanted = timeline.between(part.start_s, part.end_s)
            first_s, last_s = timeline.pts_s[[wanted.start, wanted.stop - 1]].tolist()
            video.frames_at([first_s, last_s])
            if video.info.has_audio:
                _hear_ends(video, first_s, last_s)
        return Seen(trouble, timeline.end_s)


def _hear_ends(video: Video, first_s: float, last_s: float) -> None:
    """Sound may begin later and end earlier; but where there is none at either end, there must be some."""
    for start_s in (first_s, max(first_s, last_s - _HEARD_S)):
        try:
            video.audio(start_s=start_s, end_s=start_s + _HEARD_S)
        except InputError:
            continue
        return
    video.audio()


def _look_at_sound(part: AudioPart) -> Seen:
    with opened(part.source) as file:  # type: ignore[arg-type]  # rows hold no decoded sound
        settings: dict[str, Any] = {"sample_rate": _RATE, "num_channels": 1}
        span_s = stated_span_s(file)
        if span_s is None:
            clip = read_audio_open(file, start_s=None, end_s=None, **settings)
            span_s = clip.start_s, clip.start_s + clip.duration_s
            return Seen(_outside(part, *span_s, file.name), span_s[1])
        trouble = _outside(part, *span_s, file.name)
        if trouble is None:
            first_s = max(span_s[0], part.start_s or 0.0)
            last_s = span_s[1] if part.end_s is None else min(span_s[1], part.end_s)
            read_audio_open(file, start_s=first_s, end_s=min(last_s, first_s + _HEARD_S), **settings)
            read_audio_open(file, start_s=max(first_s, last_s - _HEARD_S), end_s=last_s, **settings)
        return Seen(trouble, span_s[1])


def _outside(part: VideoPart | AudioPart, first_s: float, last_s: float, name: str) -> Trouble | None:
    start_s = first_s if part.start_s is None else part.start_s
    end_s = last_s if part.end_s is None else part.end_s
    if start_s < last_s and first_s < end_s <= last_s + TOLERANCE_S:
        return None
    return Trouble(
        Fault.OUTSIDE, f"{name}: {start_s:g} to {end_s:g} s is asked for, but it ends at {last_s:.3f} s."
    )


_LOOKS: dict[type, Callable[[Any], Seen]] = {
    ImagePart: _look_at_image,
    VideoPart: _look_at_video,
    AudioPart: _look_at_sound,
}
