"""Training records of VideoLLaMA3 to conversations: images, videos, text, and recorded streams.

The format is that of DAMO-NLP-SG/VideoLLaMA3 (README, "Train with your own data"), the reading that of its
``train.py`` at commit 05cee23. Where that one is surprising, see ``RecordSettings.system_turns``; where it
puts a random other record in place of a broken one, we raise an error that names the record.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kinema.datasets.fault import Fault, RowError
from kinema.errors import DataError
from kinema.media.sample import SamplingRequest
from kinema.media.video import open_video
from kinema.processors.messages import (
    Conversation,
    ImagePart,
    Message,
    Part,
    TextPart,
    VideoFrame,
    VideoPart,
)

Kind = Literal["image", "video", "text"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record as it stands in its file."""

    data: Mapping[str, Any]
    file: str
    """Where it comes from, for errors."""
    index: int
    """Its number in the file, from 0."""

    def error(self, complaint: str, fault: Fault = Fault.MALFORMED) -> RowError:
        """An error that says where."""
        return RowError(f"{self.file}, record {self.index}", complaint, fault)


@dataclass(frozen=True, kw_only=True)
class RecordSettings:
    """How records are read."""

    media_dir: Path
    """Folder that the paths in records start from."""
    fps: float = 1.0
    """Frames a second of a stream; of other videos the processor decides."""
    max_stream_frames: int = 400
    """Most frames of a stream."""
    sampling: str = "videollama3"
    """Policy of ``media.sample`` that chooses the frames of a stream."""
    system_turns: Literal["system", "assistant"] = "system"
    """What a turn from ``system`` becomes. The original trains it as the assistant's speech."""


def read_json_records(path: Path, field: str | None = None) -> Iterator[Record]:
    """Read a ``.json`` list of records, or one that an object holds in a field.

    Raises:
        DataError: if the file holds no such list.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: it is not JSON: {error}.") from error
    if field is not None and isinstance(records, Mapping):
        records = records.get(field)
    if not isinstance(records, list):
        raise DataError(f"{path}: a .json file of records holds a list, got {type(records).__name__}.")
    for index, data in enumerate(records):
        yield Record(data=data, file=str(path), index=index)


def to_conversation(record: Record, settings: RecordSettings) -> Conversation:
    """Read one record.

    Raises:
        DataError: if it is malformed: not exactly one video, other numbers of tags and images, no answer.
        MediaError: if it is a stream whose video cannot be read; other media are opened by the processor.
    """
    if not isinstance(record.data, Mapping):
        raise record.error(f"it must be an object, got {type(record.data).__name__}.")
    if record.data.get("stream"):
        return _stream(record, settings)
    kind, files = _files(record, settings.media_dir)
    turns = _with_tags(_turns(record), kind, record)
    media = iter(files)
    messages = [_message(turn, kind, media, settings.system_turns, record) for turn in turns]
    if left := len(list(media)):
        raise record.error(f"it lists {left} more of {kind} than its turns have <{kind}> tags.", Fault.TAGS)
    return Conversation(messages=tuple(messages))


def _files(record: Record, media_dir: Path) -> tuple[Kind, list[Path]]:
    data = record.data
    if "image" in data and "video" in data:
        raise record.error("it has 'image' and 'video'; the format knows one of them.")
    if "video" in data:
        return "video", [media_dir / _only_video(record)]
    if "image" in data:
        names = [data["image"]] if isinstance(data["image"], str) else data["image"]
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise record.error(f"'image' must be a path or a list of paths, got {names!r}.")
        return "image", [media_dir / name for name in names]
    return "text", []


def _only_video(record: Record) -> str:
    videos = record.data.get("video")
    if not isinstance(videos, list) or len(videos) != 1 or not isinstance(videos[0], str):
        raise record.error(f"'video' must be a list of exactly one path, got {videos!r}.")
    return videos[0]


def _turns(record: Record) -> list[tuple[str, str]]:
    """(from, value) of each turn, from the first that is human or system on."""
    turns = record.data.get("conversations")
    if not isinstance(turns, list):
        raise record.error(f"'conversations' must be a list, got {type(turns).__name__}.")
    pairs = []
    for number, turn in enumerate(turns):
        speaker, value = (turn.get("from"), turn.get("value")) if isinstance(turn, Mapping) else (None, None)
        if not isinstance(speaker, str) or not isinstance(value, str):
            raise record.error(f"turn {number} needs 'from' and 'value', both texts, got {turn!r}.")
        pairs.append((speaker, value))
    first = next((i for i, (speaker, _) in enumerate(pairs) if speaker in ("human", "system")), len(pairs))
    pairs = pairs[first:]
    if all(speaker in ("human", "system") for speaker, _ in pairs):
        raise record.error("nobody answers in it, so there is nothing to learn.", Fault.NO_ANSWER)
    return pairs


def _with_tags(turns: list[tuple[str, str]], kind: Kind, record: Record) -> list[tuple[str, str]]:
    """Put the tag before the first question where no turn has one."""
    tag = f"<{kind}>"
    if kind == "text" or any(tag in value for speaker, value in turns if speaker == "human"):
        return turns
    first = next((i for i, (speaker, _) in enumerate(turns) if speaker == "human"), None)
    if first is None:
        raise record.error(f"nobody asks in it, so there is no place for the {kind}.")
    turns[first] = ("human", tag + turns[first][1])
    return turns


def _message(
    turn: tuple[str, str], kind: Kind, media: Iterator[Path], system: str, record: Record
) -> Message:
    speaker, value = turn
    if speaker == "system" and system == "system":
        return Message(role="system", parts=(TextPart(text=value),))
    if speaker != "human":
        return Message(role="assistant", parts=(TextPart(text=value),))
    parts: list[Part] = []
    for piece in re.split(f"(<{kind}>)", value) if kind != "text" else [value]:
        if kind != "text" and piece == f"<{kind}>":
            source = next(media, None)
            if source is None:
                raise record.error(f"its turns have more <{kind}> tags than it lists of {kind}.", Fault.TAGS)
            parts.append(ImagePart(source=source) if kind == "image" else VideoPart(source=source))
        elif piece.strip():
            parts.append(TextPart(text=piece.strip()))
    return Message(role="user", parts=tuple(parts))


def _stream(record: Record, settings: RecordSettings) -> Conversation:
    """Before each message stand the frames seen until then, a turn each; later frames are left out."""
    spoken = _spoken(record)
    frames = _stream_frames(record, settings)
    messages: list[Message] = []
    shown = 0
    for time_s, message in spoken:
        while shown < len(frames) and frames[shown][0] <= time_s:
            messages.append(Message(role="stream", parts=(frames[shown][1],)))
            shown += 1
        messages.append(message)
    return Conversation(messages=tuple(messages))


def _spoken(record: Record) -> list[tuple[float, Message]]:
    """(time, message) of what is said, in order."""
    turns = record.data.get("conversation")
    if not isinstance(turns, list) or not turns:
        raise record.error("a stream needs 'conversation', a list of 'role', 'content' and 'time'.")
    spoken: list[tuple[float, Message]] = []
    for number, turn in enumerate(turns):
        fields = turn if isinstance(turn, Mapping) else {}
        role, content, time_s = fields.get("role"), fields.get("content"), fields.get("time")
        if role not in ("system", "user", "assistant") or not isinstance(content, str):
            raise record.error(f"message {number} needs a known 'role' and a 'content', got {turn!r}.")
        if not isinstance(time_s, int | float):
            raise record.error(f"message {number} needs a 'time' in seconds, got {turn!r}.")
        if spoken and time_s < spoken[-1][0]:
            raise record.error(f"message {number} is said at {time_s} s, before the one ahead of it.")
        spoken.append((float(time_s), Message(role=role, parts=(TextPart(text=content),))))
    return spoken


def _stream_frames(record: Record, settings: RecordSettings) -> Sequence[tuple[float, ImagePart]]:
    """(time in the video, frame with its time in the stream) of all frames; found, not decoded."""
    file = settings.media_dir / _only_video(record)
    start_s, end_s = record.data.get("start_time"), record.data.get("end_time")
    request = SamplingRequest(
        fps=settings.fps, max_frames=settings.max_stream_frames, start_s=start_s, end_s=end_s
    )
    with open_video(file) as video:
        picks = video.plan(settings.sampling, request)
        pts_s = video.timeline.pts_s[picks.indices]
    offset_s = start_s or 0.0
    return [
        (time_s, ImagePart(source=VideoFrame(source=file, pts_s=shown_s), time_s=time_s - offset_s))
        for time_s, shown_s in zip(picks.times_s.tolist(), pts_s.tolist(), strict=True)
    ]
