"""A finite source whose samples say which they are."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinema.processors.messages import Conversation, Message, TextPart


@dataclass(frozen=True)
class CountedWords:
    """Sample i says ``name`` and ``i``; there are no others."""

    name: str
    count: int

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        assert index < self.count
        return Conversation(messages=(Message(role="user", parts=(TextPart(text=f"{self.name}{index}"),)),))


def word(data: Any, index: int) -> str:
    """What a sample says."""
    return data.sample(index, np.random.default_rng(index)).messages[0].text
