"""OpenAI chat messages: ``text``, ``image_url``, ``input_audio``; ``video_url``, ``audio_url`` as open
servers added.

Bytes travel as base64. The settings of a video stand beside its URL.
"""

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kinema.errors import InputError
from kinema.media.frames import FrameBatch
from kinema.processors.dialects.fields import (
    PICTURE,
    RANGE,
    VIDEO_SETTINGS,
    check_empty,
    from_base64,
    read_messages,
    stated,
    stated_modality,
    take,
    take_text,
    write_messages,
)
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Part, TextPart, VideoPart


def from_openai(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """Read OpenAI chat messages.

    Raises:
        InputError: if a message or part is malformed or says something that would be lost.
    """
    return read_messages(messages, _openai_part)


def to_openai(conversation: Conversation) -> list[dict[str, Any]]:
    """Write OpenAI chat messages; ``from_openai`` gives the same conversation back.

    Raises:
        InputError: if a part holds pixels, frames or an open file, or an image has a time.
    """
    return write_messages(conversation, _to_openai_part)


def _openai_part(part: dict[str, Any], where: str) -> Part:
    kind = part.pop("type", None)
    if kind not in _READERS:
        raise InputError(f"{where}: type {kind!r} is none of {', '.join(_READERS)}.")
    fields = part.pop(kind, None)
    check_empty(part, where)
    if isinstance(fields, str):  # short for the only field that is needed
        fields = {_MAIN_FIELD.get(kind, "url"): fields}
    if not isinstance(fields, Mapping):
        raise InputError(f"{where}: {kind!r} must be an object or a text, got {fields!r}.")
    rest = dict(fields)
    read = _READERS[kind](rest, where)
    check_empty(rest, where)
    return read


def _read_text(fields: dict[str, Any], where: str) -> Part:
    return TextPart(text=take_text(fields, "text", where))


def _read_image(fields: dict[str, Any], where: str) -> Part:
    if fields.get("detail") == "auto":  # says nothing
        fields.pop("detail")
    return ImagePart(source=_take_url(fields, where), **take(fields, PICTURE))


def _read_video(fields: dict[str, Any], where: str) -> Part:
    return VideoPart(source=_take_url(fields, where), **take(fields, VIDEO_SETTINGS))


def _read_audio(fields: dict[str, Any], where: str) -> Part:
    return AudioPart(source=_take_url(fields, where), **take(fields, RANGE))


def _read_input_audio(fields: dict[str, Any], where: str) -> Part:
    fields.pop("format", None)  # the bytes say it too
    data = from_base64(take_text(fields, "data", where), where)
    return AudioPart(source=data, **take(fields, RANGE))


_READERS: dict[str, Callable[[dict[str, Any], str], Part]] = {
    "text": _read_text,
    "image_url": _read_image,
    "video_url": _read_video,
    "audio_url": _read_audio,
    "input_audio": _read_input_audio,
}
_MAIN_FIELD = {"text": "text", "input_audio": "data"}


def _to_openai_part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        if part.time_s is not None:
            raise InputError(f"OpenAI messages have no place for the time of an image ({part.time_s} s).")
        return {"type": "image_url", "image_url": {"url": _to_url(part.source), **stated_modality(part)}}
    if isinstance(part, VideoPart):
        settings = stated(part, VIDEO_SETTINGS)
        return {"type": "video_url", "video_url": {"url": _to_url(part.source), **settings}}
    if isinstance(part.source, bytes):
        inner = {"data": base64.b64encode(part.source).decode(), "format": _audio_format(part.source)}
        return {"type": "input_audio", "input_audio": {**inner, **stated(part, RANGE)}}
    return {"type": "audio_url", "audio_url": {"url": _to_url(part.source), **stated(part, RANGE)}}


def _take_url(fields: dict[str, Any], where: str) -> str | bytes:
    url = take_text(fields, "url", where)
    if not url.startswith("data:"):
        return url
    head, _, data = url.partition(",")
    if not head.endswith(";base64"):
        raise InputError(f"{where}: a data URL must be base64, got {head!r}.")
    return from_base64(data, where)


def _to_url(source: Any) -> str:
    if isinstance(source, bytes):
        return f"data:application/octet-stream;base64,{base64.b64encode(source).decode()}"
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    kind = "pixels" if isinstance(source, np.ndarray | FrameBatch) else type(source).__name__
    raise InputError(f"OpenAI messages hold paths, URLs and bytes, not {kind}. Write it to a file first.")


def _audio_format(data: bytes) -> str:
    return "wav" if data.startswith(b"RIFF") else "mp3"
