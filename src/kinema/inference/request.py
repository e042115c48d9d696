"""What a caller passes as media and a question, as one conversation."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from kinema.errors import ConfigError, InputError
from kinema.inference.sampling import SamplingConfig
from kinema.media.frames import FrameBatch
from kinema.media.video import open_video
from kinema.processors.messages import (
    AudioPart,
    Conversation,
    ImagePart,
    Message,
    Part,
    Source,
    TextPart,
    VideoPart,
)

OneMedia = Source | FrameBatch | NDArray[np.uint8] | ImagePart | VideoPart | AudioPart
"""A source of a video or an image, decoded frames, pixels (H, W, 3) of an image, or a part of a message."""

Media = OneMedia | Sequence[OneMedia] | Conversation | None
"""One, several in the order they are spoken of, what was said so far, or nothing: text alone."""

_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif"}
_IMAGE_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*")


class SamplingOptions(TypedDict, total=False):
    """How an answer is drawn, see ``SamplingConfig``; what is left out stays as it was."""

    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float
    repetition_penalty: float
    penalise_prompt: bool
    stop: tuple[str, ...]
    seed: int


class AskOptions(SamplingOptions, total=False):
    """Everything a question may come with; what is left out is left to the model and its processor."""

    system: str | None
    """Said first, by the system."""
    fps: float | None
    """Frames a second of each video."""
    max_frames: int | None
    """Most frames of each video; a longer one is read more sparsely."""
    start_s: float | None
    """Time from which each video is read."""
    end_s: float | None
    """Time up to which."""
    max_tokens: int | None
    """Most visual tokens of a conversation before pruning; pictures are made smaller to keep it."""


_FRAMES = frozenset(("fps", "max_frames", "start_s", "end_s"))


@dataclass(frozen=True)
class Request:
    """A question, ready to be answered."""

    conversation: Conversation
    sampling: SamplingConfig
    max_tokens: int | None = None
    """Most visual tokens; None for what the processor allows."""


def build_request(
    media: Media, question: str | None, options: AskOptions, sampling: SamplingConfig
) -> Request:
    """Put together what a caller passed.

    Args:
        media: see ``Media``; a conversation is continued by the question.
        question: what is asked; None where a conversation ends with the question.
        options: what comes with it.
        sampling: how to answer where the options do not say.

    Raises:
        InputError: if there is nothing to ask, or options choose frames of what has none to choose.
        ConfigError: if there is no such option, or it has a value that cannot work.
    """
    messages = list(media.messages) if isinstance(media, Conversation) else []
    parts = list(media_parts(media, options))
    if question is not None:
        parts.append(TextPart(text=question))
    if parts:
        messages.append(Message(role="user", parts=tuple(parts)))
    if question is None and not (messages and messages[-1].role != "assistant"):
        raise InputError("there is nothing to answer; pass a question.")
    system = system_messages(options)
    return Request(
        Conversation(messages=(*system, *messages)),
        build_sampling(options, sampling, AskOptions),
        options.get("max_tokens"),
    )


def media_parts(media: Media, options: AskOptions) -> tuple[Part, ...]:
    """Media as parts of a message; those of a conversation are in it already."""
    chosen = {name: value for name, value in options.items() if name in _FRAMES and value is not None}
    if isinstance(media, Conversation):
        parts: tuple[Part, ...] = ()
    else:
        parts = tuple(_part(one, chosen) for one in _several(media))
    if chosen and not any(isinstance(part, VideoPart) for part in parts):
        raise InputError(
            f"{', '.join(chosen)}: there is no video here to choose frames of. The videos of a "
            "conversation have such settings of their own."
        )
    return parts


def system_messages(options: AskOptions) -> tuple[Message, ...]:
    """The system's turn, if there is one."""
    system = options.get("system")
    return () if system is None else (Message(role="system", parts=(TextPart(text=system),)),)


def build_sampling(
    options: Mapping[str, Any], sampling: SamplingConfig, accepted: type[SamplingOptions]
) -> SamplingConfig:
    """``sampling`` with what the options change; ``accepted`` says which options there may be."""
    unknown = options.keys() - accepted.__annotations__.keys()
    if unknown:
        known = ", ".join(accepted.__annotations__)
        raise ConfigError(f"there is no option {', '.join(sorted(unknown))}; there are: {known}.")
    changes = {name: options[name] for name in SamplingOptions.__annotations__ if name in options}
    return replace(sampling, **changes)


def shown_range(conversation: Conversation) -> tuple[float, float]:
    """From when to when the one video of a conversation is shown, in seconds.

    Raises:
        InputError: if there is not exactly one.
    """
    parts = [part for message in conversation.messages for part in message.parts]
    videos = [part for part in parts if isinstance(part, VideoPart)]
    if len(videos) != 1:
        raise InputError(f"times are times of one video, but there are {len(videos)} here; pass one.")
    (part,) = videos
    if isinstance(part.source, FrameBatch):
        start_s, end_s = (
            float(part.source.pts_s[0]),
            max(part.source.duration_s, float(part.source.pts_s[-1])),
        )
    else:
        with open_video(part.source) as video:
            start_s, end_s = video.timeline.start_s, video.timeline.end_s
    return (
        start_s if part.start_s is None else max(start_s, part.start_s),
        end_s if part.end_s is None else min(end_s, part.end_s),
    )


def _part(media: OneMedia, frames: dict[str, Any]) -> Part:
    """One piece of media as a part of a message; ``frames`` are fields of ``VideoPart``, for a video."""
    if isinstance(media, VideoPart):
        return replace(media, **frames)
    if isinstance(media, ImagePart | AudioPart):
        return media
    if isinstance(media, FrameBatch):
        return VideoPart(source=media, **frames)
    if isinstance(media, np.ndarray):
        return ImagePart(source=media)
    return ImagePart(source=media) if is_image(media) else VideoPart(source=media, **frames)


def is_image(source: Source) -> bool:
    """Whether a source is a still image: by how its bytes begin, a URL by its ending. A GIF is a video."""
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return Path(urlsplit(source).path).suffix.lower() in _IMAGE_SUFFIXES
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return path.is_file() and _begins_as_image(_beginning(path))
    if isinstance(source, bytes):
        return _begins_as_image(source[:16])
    start = source.tell()
    beginning = source.read(16)
    source.seek(start)
    return _begins_as_image(beginning)


def _several(media: OneMedia | Sequence[OneMedia] | None) -> Sequence[OneMedia]:
    if media is None:
        return []
    if isinstance(media, list | tuple):
        return media
    return [media]  # type: ignore[list-item]


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def _begins_as_image(beginning: bytes) -> bool:
    is_webp = beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP"
    return beginning.startswith(_IMAGE_BEGINNINGS) or is_webp or beginning[4:12] == b"ftypavif"
