"""ShareGPT and LLaVA records: in their turns ``<image>`` and ``<video>`` stand for the files listed beside.

One line break after a tag belongs to the tag.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kinema.errors import InputError
from kinema.processors.dialects.fields import VIDEO_SETTINGS, read_role, take_text
from kinema.processors.messages import Conversation, ImagePart, Message, Part, TextPart, VideoPart

_TAG = re.compile(r"(<image>\n?|<video>\n?)")
_WRITTEN_ROLES = {"system": "system", "user": "human", "assistant": "gpt"}


def from_sharegpt(record: Mapping[str, Any]) -> Conversation:
    """Read a ShareGPT or LLaVA record. One line break after a tag belongs to the tag.

    Raises:
        InputError: if there are more or fewer tags than files, or a turn is malformed.
    """
    files = {kind: iter(_as_list(record.get(kind))) for kind in ("image", "video")}
    messages = []
    for number, turn in enumerate(_turns_of(record)):
        where = f"turn {number}"
        parts = _tagged_parts(take_text(dict(turn), "value", where), files, where)
        messages.append(Message(role=read_role(turn.get("from"), where), parts=tuple(parts)))
    for kind, rest in files.items():
        if left := list(rest):
            raise InputError(f"the record lists {kind} files that no <{kind}> stands for: {left}.")
    return Conversation(messages=tuple(messages))


def to_sharegpt(conversation: Conversation) -> dict[str, Any]:
    """Write a ShareGPT record; neighbouring text parts become one.

    Raises:
        InputError: if a part or turn has no place in a record, or a text holds a tag of its own.
    """
    files: dict[str, list[str]] = {"image": [], "video": []}
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
    turns = record.get("conversations")
    if not isinstance(turns, Sequence) or not all(isinstance(turn, Mapping) for turn in turns):
        raise InputError("a record needs 'conversations', a list of objects with 'from' and 'value'.")
    return turns


def _as_list(files: Any) -> list[str]:
    if files is None:
        return []
    return [files] if isinstance(files, str) else list(files)


def _tagged_parts(text: str, files: Mapping[str, Iterator[str]], where: str) -> Iterator[Part]:
    for piece in _TAG.split(text):
        if not _TAG.fullmatch(piece):
            if piece:
                yield TextPart(text=piece)
            continue
        kind = piece.strip("<>\n")
        source = next(files[kind], None)
        if source is None:
            raise InputError(f"{where}: there is a <{kind}> more than the record lists {kind} files.")
        yield ImagePart(source=source) if kind == "image" else VideoPart(source=source)


def _written(part: Part, files: dict[str, list[str]]) -> str:
    if isinstance(part, TextPart):
        return part.text
    kind = {ImagePart: "image", VideoPart: "video"}.get(type(part))
    says_more = any(getattr(part, name, None) is not None for name in (*VIDEO_SETTINGS, "time_s"))
    says_more = says_more or (isinstance(part, ImagePart) and part.modality != "image")
    if kind is None or says_more or not isinstance(part.source, str | os.PathLike):
        raise InputError(f"a ShareGPT record can only name image and video files, not {part}.")
    files[kind].append(os.fspath(part.source))
    return f"<{kind}>\n"
