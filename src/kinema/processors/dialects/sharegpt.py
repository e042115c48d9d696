"""ShareGPT and LLaVA records: ``<image>``, ``<video>``, ``<audio>`` in a turn stand for files listed beside.

One line break after a tag belongs to the tag.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from reprlib import repr as shortened
from typing import Any

from kinema.errors import InputError, TagError
from kinema.processors.dialects.fields import VIDEO_SETTINGS, read_role, take_text
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

_PARTS: dict[str, Callable[..., Part]] = {"image": ImagePart, "video": VideoPart, "audio": AudioPart}
_TAG = re.compile(r"(<(?:image|video|audio)>\n?)")
_WRITTEN_ROLES = {"system": "system", "user": "human", "assistant": "gpt"}


def from_sharegpt(record: Mapping[str, Any]) -> Conversation:
    """Read a ShareGPT or LLaVA record. One line break after a tag belongs to the tag.

    Files are listed as ``image`` or ``images``, one or several, and so on. Turns are ``conversations`` of
    ``from`` and ``value``, or ``messages`` of ``role`` and ``content``; ``system`` is said before them.

    Raises:
        TagError: if there are more or fewer tags than files.
        InputError: if a turn or a list of files is malformed.
    """
    files = {kind: iter(_files_of(record, kind)) for kind in _PARTS}
    messages = []
    if record.get("system"):
        system = TextPart(text=take_text(dict(record), "system", "record"))
        messages.append(Message(role="system", parts=(system,)))
    speaker, said = ("from", "value") if "conversations" in record else ("role", "content")
    for number, turn in enumerate(_turns_of(record)):
        where = f"turn {number}"
        parts = _tagged_parts(take_text(dict(turn), said, where), files, where)
        messages.append(Message(role=read_role(turn.get(speaker), where), parts=tuple(parts)))
    for kind, rest in files.items():
        if left := list(rest):
            raise TagError(f"the record lists {kind} files that no <{kind}> stands for: {shortened(left)}.")
    return Conversation(messages=tuple(messages))


def to_sharegpt(conversation: Conversation) -> dict[str, Any]:
    """Write a ShareGPT record; neighbouring text parts become one.

    Raises:
        InputError: if a part or turn has no place in a record, or a text holds a tag of its own.
    """
    files: dict[str, list[str]] = {kind: [] for kind in _PARTS}
    turns = []
    for message in conversation.messages:
        if message.role not in _WRITTEN_ROLES:
            raise InputError(f"ShareGPT records have no turn of the role {message.role!r}.")
        value = "".join(_written(part, files) for part in message.parts)
        if len(_TAG.findall(value)) > sum(not isinstance(part, TextPart) for part in message.parts):
            raise InputError(f"a text holds a tag that a record would take for a file: {value!r}.")
        turns.append({"from": _WRITTEN_ROLES[message.role], "value": value})
    return {**{kind: names for kind, names in files.items() if names}, "conversations": turns}


def _turns_of(record: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    turns = record.get("conversations", record.get("messages"))
    if not isinstance(turns, Sequence) or not all(isinstance(turn, Mapping) for turn in turns):
        raise InputError(
            "a record needs 'conversations', a list of objects with 'from' and 'value', or 'messages' with "
            "'role' and 'content'."
        )
    return turns


def _files_of(record: Mapping[str, Any], kind: str) -> Sequence[Source]:
    given = [record[name] for name in (kind, f"{kind}s") if record.get(name) is not None]
    if len(given) > 1:
        raise InputError(f"a record lists its files as {kind!r} or as '{kind}s'; this one does both.")
    files = given[0] if given else []
    files = [files] if isinstance(files, str | bytes) else files
    if not isinstance(files, Sequence) or not all(isinstance(file, str | bytes) for file in files):
        raise InputError(f"{kind!r} must be a path or a list of paths, got {shortened(files)}.")
    return files


def _tagged_parts(text: str, files: Mapping[str, Iterator[Source]], where: str) -> Iterator[Part]:
    for piece in _TAG.split(text):
        if not _TAG.fullmatch(piece):
            if piece:
                yield TextPart(text=piece)
            continue
        kind = piece.strip("<>\n")
        source = next(files[kind], None)
        if source is None:
            raise TagError(f"{where}: there is a <{kind}> more than the record lists {kind} files.")
        yield _PARTS[kind](source=source)


def _written(part: Part, files: dict[str, list[str]]) -> str:
    if isinstance(part, TextPart):
        return part.text
    kind = next(kind for kind, made in _PARTS.items() if made is type(part))
    says_more = any(getattr(part, name, None) is not None for name in (*VIDEO_SETTINGS, "time_s"))
    says_more = says_more or (isinstance(part, ImagePart) and part.modality != "image")
    if says_more or not isinstance(part.source, str | os.PathLike):
        raise InputError(f"a ShareGPT record can only name image, video and audio files, not {part}.")
    files[kind].append(os.fspath(part.source))
    return f"<{kind}>\n"
