"""What a row says, in the forms that people have: a row as a conversation.

A form is found by the fields of each row, so that a file may mix them; or it is named, and then every row has
it. VideoLLaMA3's records are told from LLaVA's only where they are streams: where its other rules are wanted
(a tag may be left out, blanks are stripped), name the form.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kinema.datasets.fault import Fault
from kinema.datasets.own.captions import is_captioned, read_captioned
from kinema.datasets.own.place import Place, is_remote, local_path, locate
from kinema.datasets.records import Record, RecordSettings, to_conversation
from kinema.errors import InputError, TagError
from kinema.processors.dialects import from_huggingface, from_openai, from_sharegpt
from kinema.processors.messages import Conversation, Source

FormName = Literal["llava", "sharegpt", "openai", "huggingface", "videollama3", "captions"]


class Reading(NamedTuple):
    """How rows are read."""

    media_dir: Place
    prompt: str | None
    """What captions are the answers to."""


def form_of(record: Record) -> FormName:
    """The form of a row, by its fields.

    Raises:
        RowError: if it has none of them.
    """
    data = record.data
    if not isinstance(data, Mapping):
        raise record.error(f"it must be an object, got {type(data).__name__}.")
    if data.get("stream"):
        return "videollama3"
    if "conversations" in data:
        return "llava"
    if "messages" in data:
        return _form_of_messages(data)
    if is_captioned(data):
        return "captions"
    raise record.error(
        f"its fields ({', '.join(map(str, data)) or 'none'}) are none of a known form: 'conversations' "
        "(LLaVA, ShareGPT, VideoLLaMA3), 'messages' (OpenAI, Hugging Face), or a file and a caption."
    )


def read_row(record: Record, form: FormName | None, reading: Reading) -> Conversation:
    """Read one row; files are named as they stand in it, but for streams.

    Raises:
        RowError: if it is malformed, naming file and row.
        MediaError: if it is a stream whose video cannot be read.
    """
    read = _READERS[form or form_of(record)]
    if not isinstance(record.data, Mapping):
        raise record.error(f"it must be an object, got {type(record.data).__name__}.")
    try:
        return read(record, reading)
    except TagError as error:
        raise record.error(str(error), Fault.TAGS) from error
    except InputError as error:
        raise record.error(str(error)) from error


def _form_of_messages(data: Mapping[str, Any]) -> FormName:
    """Parts have types that only one dialect knows; texts alone with files beside them have tags."""
    parts = [part for message in _maps(data["messages"]) for part in _maps(message.get("content"))]
    if any(part.get("type") in _OPENAI_TYPES for part in parts):
        return "openai"
    has_files = any(data.get(name) is not None for kind in _KINDS for name in (kind, f"{kind}s"))
    return "sharegpt" if has_files and not parts else "huggingface"


def _maps(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list, and nothing of what is no list."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [item for item in value if isinstance(item, Mapping)]


def _read_tagged(record: Record, reading: Reading) -> Conversation:
    return from_sharegpt(record.data)


def _read_openai(record: Record, reading: Reading) -> Conversation:
    return from_openai(_messages(record))


def _read_huggingface(record: Record, reading: Reading) -> Conversation:
    """A part without a file of its own is the next of those listed beside, as ``trl`` has it."""
    files = {kind: iter(_listed(record.data, kind)) for kind in _KINDS}
    messages = [_with_files(message, files) for message in _messages(record)]
    for kind, rest in files.items():
        if left := len(list(rest)):
            raise TagError(f"it lists {left} more of {kind} than its messages have parts.")
    return from_huggingface(messages)


def _messages(record: Record) -> Sequence[Mapping[str, Any]]:
    messages = record.data.get("messages")
    if len(_maps(messages)) != len(messages if isinstance(messages, Sequence) else "no"):
        raise record.error("it needs 'messages', a list of objects with 'role' and 'content'.")
    return _maps(messages)


def _listed(data: Mapping[str, Any], kind: str) -> Sequence[Source]:
    files = data.get(f"{kind}s")
    if files is None:
        return []
    return [files] if isinstance(files, str | bytes) else list(files)


def _with_files(message: Mapping[str, Any], files: Mapping[str, Iterator[Source]]) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, str) or not isinstance(content, Sequence):
        return dict(message)
    return {**message, "content": [_with_file(part, files) for part in content]}


def _with_file(part: Any, files: Mapping[str, Iterator[Source]]) -> Any:
    if not isinstance(part, Mapping):
        return part
    said = {name: value for name, value in part.items() if value is not None}  # Parquet fills up with None
    kind = said.get("type")
    if kind not in _KINDS or any(name in said for name in (kind, "url", "path", "base64")):
        return said
    source = next(files[kind], None)
    if source is None:
        raise TagError(f"a part of type {kind} names no file, and no more are listed as '{kind}s'.")
    return {**said, kind: source}


def _read_videollama3(record: Record, reading: Reading) -> Conversation:
    """Frames of a stream are found in its file; other media are named as they stand there."""
    if not record.data.get("stream"):
        return to_conversation(record, RecordSettings(media_dir=Path()))
    if is_remote(reading.media_dir):
        raise record.error("the frames of a stream are found in its file, which must be on this machine.")
    return to_conversation(record, RecordSettings(media_dir=local_path(reading.media_dir)))


def _read_captions(record: Record, reading: Reading) -> Conversation:
    return read_captioned(record, reading.prompt, lambda source: locate(source, reading.media_dir))


_KINDS = ("image", "video", "audio")
_OPENAI_TYPES = ("image_url", "video_url", "audio_url", "input_audio")
_READERS: dict[FormName, Callable[[Record, Reading], Conversation]] = {
    "llava": _read_tagged,
    "sharegpt": _read_tagged,
    "openai": _read_openai,
    "huggingface": _read_huggingface,
    "videollama3": _read_videollama3,
    "captions": _read_captions,
}
