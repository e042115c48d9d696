"""Training records of LLaVA and Video-LLaVA: objects with ``image`` or ``video``, and ``conversations``.

Several files become one data set. Where the original puts a random other record in place of a broken one, we
raise an error that names the record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinema.datasets.records import Record, read_records
from kinema.errors import DataError, InputError
from kinema.processors.dialects import from_sharegpt
from kinema.processors.messages import Conversation, ImagePart, Part, VideoPart


@dataclass(frozen=True, kw_only=True)
class LlavaRecords:
    """A data set; sample i is record i of the files put end to end, and then all of them again."""

    files: tuple[Path, ...]
    """``.json`` or ``.jsonl``; read when the first record is asked for."""
    media_dir: Path
    """Folder that the paths in records start from."""

    def __len__(self) -> int:
        return len(self._records)

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """A record as a conversation.

        Raises:
            DataError: if it is malformed, naming file and number.
        """
        record = self._records[index % len(self)]
        try:
            talk = from_sharegpt(record.data)
        except InputError as error:
            raise record.error(str(error)) from error
        messages = [
            replace(message, parts=tuple(map(self._located, message.parts))) for message in talk.messages
        ]
        return Conversation(messages=tuple(messages))

    def modality_lengths(self) -> tuple[int, ...]:
        """Words of each record; above 0 where it shows something, negative where it is text alone."""
        return tuple(_modality_length(record) for record in self._records)

    @cached_property
    def _records(self) -> Sequence[Record]:
        records = [record for file in self.files for record in read_records(file)]
        for record in records:
            if not isinstance(record.data, Mapping):
                raise record.error(f"it must be an object, got {type(record.data).__name__}.")
        if not records:
            raise DataError(f"there is no record in {', '.join(map(str, self.files)) or 'no file'}.")
        return records

    def _located(self, part: Part) -> Part:
        if isinstance(part, ImagePart | VideoPart):
            return replace(part, source=self.media_dir / str(part.source))
        return part


def _modality_length(record: Record) -> int:
    """As ``modality_lengths`` of the original counts: the words of all turns, tags among them."""
    turns: Any = record.data.get("conversations")
    try:
        num_words = sum(len(turn["value"].split()) for turn in turns)
    except (TypeError, KeyError, AttributeError) as error:
        raise record.error("it needs 'conversations', a list of objects with 'value'.") from error
    if num_words == 0:
        raise record.error("nothing is said in it.")
    return num_words if "image" in record.data or "video" in record.data else -num_words
