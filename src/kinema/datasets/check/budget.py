"""Whether a sample is as long as a model reads, found without decoding its frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kinema.datasets.check.media import Trouble
from kinema.datasets.fault import Fault
from kinema.errors import InputError, MediaError, OutOfBudgetError
from kinema.processors.chat import EncodedTurn
from kinema.processors.messages import Conversation
from kinema.processors.visuals import VisualItem


class Measurer(Protocol):
    """What is asked of a model's processor."""

    def measure(self, conversation: Conversation) -> tuple[VisualItem, ...]:
        """Images and videos as they will be, before pruning."""

    def tokenize(self, conversation: Conversation, items: Sequence[VisualItem]) -> Sequence[EncodedTurn]:
        """Token ids, turn by turn."""


@dataclass(frozen=True, kw_only=True)
class TokenBudget:
    """A model's processor, and the most tokens of a sample."""

    processor: Measurer
    max_tokens: int

    def exceeded(self, conversation: Conversation) -> Trouble | None:
        """Why a sample does not fit, or what of it the model does not take; None if it fits."""
        try:
            items = self.processor.measure(conversation)
            turns = self.processor.tokenize(conversation, items)
        except OutOfBudgetError as error:
            return Trouble(Fault.TOO_LONG, str(error))
        except MediaError as error:
            return Trouble(Fault.UNREADABLE, str(error))
        except InputError as error:
            return Trouble(Fault.REFUSED, str(error))
        num_tokens = sum(len(turn.ids) for turn in turns)
        if num_tokens <= self.max_tokens:
            return None
        return Trouble(Fault.TOO_LONG, f"{num_tokens} tokens, {self.max_tokens} are the most.")
