"""Rows of a file and its caption, or of a file, a question and an answer, under the names people give them.

    file_name,text
    clips/1.mp4,A dog runs into the sea.

The file stands under ``image``, ``video`` or ``audio``, or under a name that does not say what it is; then
the file shows it. ``start`` and ``end`` (seconds) choose a part of a video or sound.
"""

import math
from collections.abc import Callable, Mapping
from reprlib import repr as shortened
from typing import Any

from kinema.datasets.records import Record
from kinema.media.kind import is_image, is_sound
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

PROMPTS = {
    ImagePart: "Describe the image.",
    VideoPart: "Describe the video.",
    AudioPart: "Describe the sound.",
}
"""What a caption is the answer to, where nobody says."""

FILES = ("file_name", "file", "filename", "filepath", "file_path", "path", "media", "clip", "url")
"""Columns whose file shows what it is."""
CAPTIONS = ("caption", "answer", "response", "output", "text", "txt", "description", "label", "cls")
QUESTIONS = ("question", "prompt", "instruction", "query")
_KINDS: dict[str, Callable[..., Part]] = {"image": ImagePart, "video": VideoPart, "audio": AudioPart}
_STARTS, _ENDS = ("start_s", "start", "start_time"), ("end_s", "end", "end_time")


def is_captioned(data: Mapping[str, Any]) -> bool:
    """Whether a row has a file and a caption."""
    return _first(data, (*_KINDS, *FILES)) is not None and _first(data, CAPTIONS) is not None


def read_captioned(record: Record, prompt: str | None, see: Callable[[Source], Source]) -> Conversation:
    """Read a row as what is shown and asked, and the caption as the answer.

    Args:
        record: the row.
        prompt: what captions are the answers to; None for one of ``PROMPTS``, "" to show the file alone.
        see: opens a file, to find out what it is.

    Raises:
        DataError: if it has no file or no caption, words that are no text, or times that are no numbers.
    """
    data = record.data
    column, caption = _first(data, (*_KINDS, *FILES)), _first(data, CAPTIONS)
    if column is None or caption is None:
        raise record.error(
            f"it needs a file ({', '.join((*_KINDS, *FILES))}) and a caption ({', '.join(CAPTIONS)}); it has "
            f"{', '.join(map(str, data)) or 'nothing'}."
        )
    source = _only(data[column], record, column)
    kind = _KINDS[column] if column in _KINDS else _kind(see(source))
    times = {"start_s": _seconds(record, _STARTS), "end_s": _seconds(record, _ENDS)}
    part = kind(source=source, **({} if kind is ImagePart else times))
    asked = _first(data, QUESTIONS)
    default = PROMPTS[type(part)] if prompt is None else prompt
    question = _words(record, asked) if asked else default
    shown = (part, TextPart(text=question)) if question else (part,)
    answer = Message(role="assistant", parts=(TextPart(text=_words(record, caption)),))
    return Conversation(messages=(Message(role="user", parts=shown), answer))


def _first(data: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if data.get(name) is not None), None)


def _only(source: Any, record: Record, column: str) -> Source:
    if isinstance(source, list) and len(source) == 1:
        source = source[0]
    if not isinstance(source, str | bytes) or not source:
        raise record.error(f"{column!r} must be the path of one file, got {shortened(source)}.")
    return source


def _words(record: Record, column: str) -> str:
    """A text, or a number such as a class; not the nan that tables fill gaps with, nor a list."""
    value = record.data[column]
    if isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value)):
        return str(value)
    raise record.error(f"{column!r} must be a text or a number, got {shortened(value)}.")


def _kind(source: Source) -> Callable[..., Part]:
    if is_image(source):
        return ImagePart
    return AudioPart if is_sound(source) else VideoPart


def _seconds(record: Record, names: tuple[str, ...]) -> float | None:
    name = _first(record.data, names)
    if name is None or record.data[name] == "":
        return None
    try:
        return float(record.data[name])
    except (TypeError, ValueError) as error:
        raise record.error(f"{name!r} must be a time in seconds, got {record.data[name]!r}.") from error
