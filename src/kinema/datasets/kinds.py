"""Rows sorted by what they show and tell, for training whose every batch is of one kind."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinema.datasets.joined import Joined
from kinema.datasets.own import OwnRecords
from kinema.datasets.own.place import Place
from kinema.processors.messages import Conversation, TextPart


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Some rows of a data set; sample i is the i-th of them."""

    source: OwnRecords
    rows: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def files(self) -> tuple[Place, ...]:
        """Where the rows stand."""
        return self.source.files

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """A row; raises as ``OwnRecords.sample``."""
        return self.source.sample(self.rows[index % len(self.rows)], rng)


def by_kind(records: OwnRecords, captions: Sequence[str]) -> Joined:
    """A source for each kind of rows: same kinds of media, and captions of the same names.

    Args:
        records: each row is read, and no media.
        captions: what a caption may be called: the words of the turn that it answers. One that answers no
            words has no name.

    Raises:
        DataError: if a row is malformed, or a caption answers something else.
    """
    kinds: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
    for index in range(len(records)):
        talk = records.conversation(index)
        asked = tuple(sorted(message.text.strip() for message in talk.messages if message.role == "user"))
        if unknown := [words for words in asked if words and words not in captions]:
            raise records.record(index).error(
                f"captions are told apart by the words before them, {', '.join(captions)} or none; this is "
                f"{unknown[0]!r}."
            )
        shown = [type(part).__name__ for message in talk.messages for part in message.parts]
        media = tuple(sorted(name for name in shown if name != TextPart.__name__))
        kinds.setdefault((media, asked), []).append(index)
    chosen = [Chosen(source=records, rows=tuple(rows)) for _, rows in sorted(kinds.items())]
    return Joined(parts=tuple((each, len(each)) for each in chosen))
