"""Whether one row can be learned from."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from kinema.datasets.check.budget import TokenBudget
from kinema.datasets.check.grounding import misplaced
from kinema.datasets.check.media import TOLERANCE_S, Seen, Trouble, look_at
from kinema.datasets.fault import Fault, RowError
from kinema.datasets.own.forms import read_row
from kinema.datasets.own.place import Place, locate
from kinema.datasets.own.records import OwnRecords, located
from kinema.datasets.records import Record
from kinema.errors import MediaError
from kinema.processors.messages import Conversation, ImagePart, Part, TextPart, VideoFrame, VideoPart

_MEDIA_REMEMBERED = 1024
"""Media that are not looked at again, as many rows in turn ask about one."""


class Verdict(NamedTuple):
    """What came of looking at a row."""

    row: int
    trouble: Trouble | None
    """None for a row that can be learned from."""
    digest: int = 0
    """The same for rows of the same media and words, 64 bits."""


@dataclass(frozen=True, kw_only=True)
class RowCheck:
    """Looks at rows; called with their numbers."""

    records: OwnRecords
    budget: TokenBudget | None
    _seen: OrderedDict[Any, Seen] = field(default_factory=OrderedDict, repr=False, compare=False)

    def __call__(self, index: int) -> Verdict:
        """Read a row and all that it names."""
        try:
            return self._verdict(index)
        except RowError as error:
            return Verdict(index, Trouble(error.fault, error.complaint))
        except MediaError as error:
            return Verdict(index, Trouble(Fault.MISSING, str(error)))
        except Exception as error:  # noqa: BLE001 a value of a kind that nobody foresaw must not end the check
            return Verdict(index, Trouble(Fault.MALFORMED, f"{type(error).__name__}: {error}"))

    def _verdict(self, index: int) -> Verdict:
        record = self.records.record(index)
        reading = self.records.reading(index)
        if trouble := self._wrong_stream(record, reading.media_dir):
            return Verdict(index, trouble)
        named = read_row(record, self.records.format, reading)
        if trouble := _unanswered(named):
            return Verdict(index, trouble)
        conversation = located(named, reading.media_dir)
        ends_s: list[float] = []
        for name, part in zip(_parts(named), _parts(conversation), strict=True):
            seen = self._look_at(name, part, reading.media_dir)
            if seen.trouble is not None:
                return Verdict(index, seen.trouble)
            if seen.end_s is not None:
                ends_s.append(seen.end_s)
        trouble = misplaced(conversation, ends_s)
        if trouble is None and self.budget is not None:
            trouble = self.budget.exceeded(conversation)
        return Verdict(index, trouble, _digest(named))

    def _wrong_stream(self, record: Record, folder: Place) -> Trouble | None:
        """A stream is looked at before it is read, which finds its frames already."""
        data = record.data
        files = data.get("video") if isinstance(data, Mapping) and data.get("stream") else None
        if not isinstance(files, list) or len(files) != 1 or not isinstance(files[0], str):
            return None
        start_s, end_s = data.get("start_time"), data.get("end_time")
        named = VideoPart(source=files[0], start_s=start_s, end_s=end_s)
        part = VideoPart(source=locate(files[0], folder), start_s=start_s, end_s=end_s)
        seen = self._look_at(named, part, folder)
        if seen.trouble is not None or seen.end_s is None:
            return seen.trouble
        last_s = (seen.end_s if end_s is None else end_s) - (start_s or 0.0)
        for time_s in _times_of(data):
            if not 0 <= time_s <= last_s + TOLERANCE_S:
                return Trouble(
                    Fault.OUTSIDE, f"something is said at {time_s:g} s of a stream of {last_s:.3f} s."
                )
        return None

    def _look_at(self, named: Part, part: Part, folder: Place) -> Seen:
        if isinstance(part, TextPart) or _is_in_memory(part):
            return look_at(part)
        key = (folder, repr(named))
        if key not in self._seen:
            self._seen[key] = look_at(part)
            while len(self._seen) > _MEDIA_REMEMBERED:
                self._seen.popitem(last=False)
        return self._seen[key]


def _unanswered(conversation: Conversation) -> Trouble | None:
    answers = [message.text for message in conversation.messages if message.role == "assistant"]
    if not answers:
        return Trouble(Fault.NO_ANSWER, "nobody answers in it, so there is nothing to learn.")
    if not all(answer.strip() for answer in answers):
        return Trouble(Fault.NO_ANSWER, f"answer {[bool(a.strip()) for a in answers].index(False)} is empty.")
    return None


def _parts(conversation: Conversation) -> Iterator[Part]:
    return (part for message in conversation.messages for part in message.parts)


def _times_of(data: Mapping[str, Any]) -> Iterator[float]:
    turns = data.get("conversation")
    for turn in turns if isinstance(turns, list) else []:
        if isinstance(turn, Mapping) and isinstance(turn.get("time"), int | float):
            yield float(turn["time"])


def _is_in_memory(part: Part) -> bool:
    return isinstance(getattr(part, "source", None), bytes)


def _digest(conversation: Conversation) -> int:
    """Of roles, words and media, however blanks are set; of media in memory their content, of others the
    name."""
    digest = blake2b(digest_size=8)
    for message in conversation.messages:
        digest.update(message.role.encode())
        for part in message.parts:
            if _is_in_memory(part):
                digest.update(part.source)  # type: ignore[union-attr, arg-type]
            elif isinstance(part, TextPart):
                digest.update(repr(part.text.split()).encode())
            elif isinstance(part, ImagePart) and isinstance(part.source, VideoFrame):
                digest.update(f"{part.source.source!r} {part.source.pts_s}".encode())
            else:
                digest.update(repr(part).encode())
    return int.from_bytes(digest.digest(), "little")
