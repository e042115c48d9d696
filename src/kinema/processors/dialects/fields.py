"""What the chat formats share: a message is a role and a list of parts, and nothing in it may be lost."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kinema.errors import InputError
from kinema.processors.messages import Conversation, ImagePart, Message, Part, Role, TextPart

VIDEO_SETTINGS = ("fps", "max_frames", "start_s", "end_s", "sampling")
"""Fields of a ``VideoPart`` beside its source."""
PICTURE = ("modality",)
"""Fields of an ``ImagePart`` beside its source and time."""
RANGE = ("start_s", "end_s")
"""Fields of an ``AudioPart`` beside its source."""

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "stream": "stream",
}


def read_messages(
    messages: Sequence[Mapping[str, Any]], read_part: Callable[[dict[str, Any], str], Part]
) -> Conversation:
    """Read messages of ``role`` and ``content``; ``read_part`` reads one part that is an object.

    Raises:
        InputError: if one is malformed or holds a field that nobody reads.
    """
    return Conversation(messages=tuple(_read_message(m, i, read_part) for i, m in enumerate(messages)))


def write_messages(
    conversation: Conversation, write: Callable[[Part], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Write messages of ``role`` and ``content``; ``write`` writes one part."""
    return [
        {"role": message.role, "content": [write(part) for part in message.parts]}
        for message in conversation.messages
    ]


def read_role(role: Any, where: str) -> Role:
    """Our name of a role, of which formats have several."""
    if role not in _ROLES:
        raise InputError(f"{where}: the role {role!r} is none of {', '.join(_ROLES)}.")
    return _ROLES[role]


def take_text(fields: dict[str, Any], name: str, where: str) -> str:
    """Remove a text from the fields of a message or part that are still to be read."""
    text = fields.pop(name, None)
    if not isinstance(text, str):
        raise InputError(f"{where}: {name!r} must be a text, got {text!r}.")
    return text


def take(fields: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Remove those of the named fields that are there."""
    return {name: fields.pop(name) for name in names if name in fields}


def stated(part: Part, names: Sequence[str]) -> dict[str, Any]:
    """Those of the named fields of a part that say something."""
    return {name: getattr(part, name) for name in names if getattr(part, name) is not None}


def stated_modality(part: ImagePart) -> dict[str, Any]:
    """What a picture shows, where that is not colours."""
    return {} if part.modality == "image" else {"modality": part.modality}


def check_empty(fields: Mapping[str, Any], where: str) -> None:
    """Refuse fields that nobody has read."""
    if fields:
        raise InputError(f"{where}: {', '.join(fields)} would be lost. Leave it out.")


def from_base64(data: str, where: str) -> bytes:
    """Decode base64, strictly."""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{where}: the data is not base64: {error}.") from error


def _read_message(
    message: Mapping[str, Any], number: int, read_part: Callable[[dict[str, Any], str], Part]
) -> Message:
    where = f"message {number}"
    rest = dict(message)
    role, content = read_role(rest.pop("role", None), where), rest.pop("content", None)
    check_empty(rest, where)
    if isinstance(content, str):
        return Message(role=role, parts=(TextPart(text=content),))
    if not isinstance(content, Sequence):
        raise InputError(f"{where}: content must be a text or a list of parts, got {type(content).__name__}.")
    parts: list[Part] = []
    for index, part in enumerate(content):
        place = f"{where}, part {index}"
        if isinstance(part, str):
            parts.append(TextPart(text=part))
        elif isinstance(part, Mapping):
            parts.append(read_part(dict(part), place))
        else:
            raise InputError(f"{place}: a part is a text or an object, got {type(part).__name__}.")
    return Message(role=role, parts=tuple(parts))
