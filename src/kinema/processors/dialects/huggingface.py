"""Hugging Face chat messages: ``text``, ``image``, ``video``, ``audio``.

Parts without a type are read too, and the nested form of the VideoLLaMA3 model card, such as
``{"type": "video", "video": {"video_path": "cat.mp4", "fps": 1}}``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kinema.errors import InputError
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

_CARD_KEYS = {"start_time": "start_s", "end_time": "end_s"}


def from_huggingface(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """Read Hugging Face chat messages.

    Raises:
        InputError: if a message or part is malformed or says something that would be lost.
    """
    return read_messages(messages, _huggingface_part)


def to_huggingface(conversation: Conversation) -> list[dict[str, Any]]:
    """Write Hugging Face chat messages; ``from_huggingface`` gives the same conversation back."""
    return write_messages(conversation, _to_huggingface_part)


def _huggingface_part(part: dict[str, Any], where: str) -> Part:
    kind = part.pop("type", None) or next((k for k in ("text", "image", "video", "audio") if k in part), None)
    if kind == "text":
        text = take_text(part, "text", where)
        check_empty(part, where)
        return TextPart(text=text)
    if kind not in ("image", "video", "audio"):
        raise InputError(f"{where}: type {kind!r} is none of text, image, video, audio.")
    source = _huggingface_source(part, str(kind), where)
    read: Part
    if kind == "image":
        read = ImagePart(source=source, time_s=part.pop("timestamp", None), **take(part, PICTURE))
    elif kind == "video":
        read = VideoPart(source=source, **take(part, VIDEO_SETTINGS))
    else:
        read = AudioPart(source=source, **take(part, RANGE))
    check_empty(part, where)
    return read


def _huggingface_source(part: dict[str, Any], kind: str, where: str) -> Any:
    given = [key for key in (kind, "url", "path", "base64") if key in part]
    if len(given) != 1:
        raise InputError(
            f"{where}: a part of type {kind} needs one of {kind}, url, path, base64; got {given}."
        )
    source = part.pop(given[0])
    if given[0] == "base64":
        return from_base64(source, where)
    if isinstance(source, Mapping):  # the VideoLLaMA3 model card nests the path and its settings
        nested = dict(source)
        part.update(
            {_CARD_KEYS.get(key, key): value for key, value in nested.items() if key != f"{kind}_path"}
        )
        source = nested.get(f"{kind}_path")
    if source is None:
        raise InputError(f"{where}: there is no {kind} in it.")
    return source


def _to_huggingface_part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        time = {} if part.time_s is None else {"timestamp": part.time_s}
        return {"type": "image", "image": part.source, **time, **stated_modality(part)}
    if isinstance(part, VideoPart):
        return {"type": "video", "video": part.source, **stated(part, VIDEO_SETTINGS)}
    return {"type": "audio", "audio": part.source, **stated(part, RANGE)}
