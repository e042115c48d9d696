"""What a caller passes as media and a question, as one conversation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from kinema.errors import ConfigError, InputError
from kinema.inference.sampling import SamplingConfig
from kinema.media.frames import AudioClip, FrameBatch
from kinema.media.kind import is_image, is_sound
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

OneMedia = Source | FrameBatch | AudioClip | NDArray[np.uint8] | ImagePart | VideoPart | AudioPart
"""A source of a video, image or sound, decoded frames or sound, pixels (H, W, 3), or a part of a message."""

Media = OneMedia | Sequence[OneMedia] | Conversation | None
"""One, several in the order they are spoken of, what was said so far, or nothing: text alone."""


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
    """Time from which each video and sound is read."""
    end_s: float | None
    """Time up to which."""
    max_tokens: int | None
    """Most visual tokens of a conversation before pruning; pictures are made smaller to keep it."""


_TIMES = ("start_s", "end_s")
_FRAMES = ("fps", "max_frames")


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
    times, frames = _given(options, _TIMES), _given(options, _FRAMES)
    if isinstance(media, Conversation):
        parts: tuple[Part, ...] = ()
    else:
        parts = tuple(_part(one, times, frames) for one in _several(media))
    has_video = any(isinstance(part, VideoPart) for part in parts)
    if (frames and not has_video) or (times and not any(isinstance(p, VideoPart | AudioPart) for p in parts)):
        raise InputError(
            f"{', '.join([*frames, *times])}: there is no video here to choose frames of. The videos of a "
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


def _given(options: AskOptions, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names and value is not None}


def _part(media: OneMedia, times: dict[str, Any], frames: dict[str, Any]) -> Part:
    """One piece of media as a part of a message: a video has ``times`` and ``frames``, a sound ``times``."""
    if isinstance(media, VideoPart):
        return replace(media, **times, **frames)
    if isinstance(media, AudioPart):
        return replace(media, **times)
    if isinstance(media, ImagePart):
        return media
    if isinstance(media, FrameBatch):
        return VideoPart(source=media, **times, **frames)
    if isinstance(media, AudioClip):
        return AudioPart(source=media, **times)
    if isinstance(media, np.ndarray) or is_image(media):
        return ImagePart(source=media)
    return AudioPart(source=media, **times) if is_sound(media) else VideoPart(source=media, **times, **frames)


def _several(media: OneMedia | Sequence[OneMedia] | None) -> Sequence[OneMedia]:
    if media is None:
        return []
    if isinstance(media, list | tuple):
        return media
    return [media]  # type: ignore[list-item]
