"""Conversations to ``ModelInputs`` for models that are prompted by ``InstTemplate``: what all of them share.

What media become is left to the families. Q tokens of a view.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar

import torch

from kinema.errors import ConfigError, InputError
from kinema.processors.chat import EncodedTurn, PartTokens, Turn, turns_to_text
from kinema.processors.collate import Sample, pack_samples, pad_samples
from kinema.processors.cut import cut_sample
from kinema.processors.inputs import ModelInputs
from kinema.processors.inst_template import InstTemplate
from kinema.processors.labels import IGNORE_INDEX, supervise
from kinema.processors.messages import Conversation
from kinema.processors.prepared import PreparedConversation
from kinema.processors.role_tokens import encode_role_turns
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.visuals import EncodedVisuals, VisualItem


@dataclass(frozen=True, kw_only=True)
class InstSettings:
    """How conversations become tensors, as far as it does not depend on the kind of media."""

    template: InstTemplate = field(default_factory=InstTemplate)
    tokens_per_view: int = 96
    """Q: all queries of the bridge."""
    max_tokens: int | None = None
    """Most tokens of the media of a conversation; fewer views are made to keep it."""
    max_length: int | None = None
    """Most tokens of a sample with labels, whose end is cut off beyond; 1024 in the training code."""

    def __post_init__(self) -> None:
        for name in ("tokens_per_view", "max_tokens", "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1; got {value}.")


Settings = TypeVar("Settings", bound=InstSettings)


class InstProcessor(ABC, Generic[Settings]):
    """Conversations to ``ModelInputs``, with exactly as many placeholders as there will be features."""

    def __init__(self, tokenizer: SentencePieceTokenizer, config: Settings) -> None:
        self.tokenizer, self.config = tokenizer, config

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer."""
        return tuple(map(self.tokenizer.special_id, self.config.template.stop_tokens))

    @abstractmethod
    def measure(self, conversation: Conversation) -> tuple[VisualItem, ...]:
        """What ``encode`` would give."""

    @abstractmethod
    def encode(self, conversation: Conversation) -> EncodedVisuals | None:
        """All media of a conversation, read and made into views; None where there are none."""

    def __call__(
        self,
        conversations: Conversation | Sequence[Conversation],
        *,
        add_generation_prompt: bool = False,
        with_labels: bool = False,
        pack: bool = False,
    ) -> ModelInputs:
        """Make one batch, padded on the right.

        Args:
            conversations: one row each; media stand in the first turn of the user.
            add_generation_prompt: end where the assistant begins.
            with_labels: label the assistant's words and what ends them.
            pack: put the conversations end to end into one row instead of padding.

        Raises:
            InputError: if a conversation holds what the model does not take, or has no label where some are
                wanted.
            MediaError: if a file cannot be read.
            OutOfBudgetError: if ``max_tokens`` cannot be kept.
        """
        if isinstance(conversations, Conversation):
            conversations = [conversations]
        prepared = [
            self.prepare(talk, add_generation_prompt=add_generation_prompt, with_labels=with_labels)
            for talk in conversations
        ]
        samples = [one.sample for one in prepared]
        return self.pack(samples) if pack else self.collate(samples)

    def read(self, conversation: Conversation) -> Sample:
        """One conversation with labels, for ``collate`` or ``pack``; raises as ``__call__``."""
        return self.prepare(conversation, with_labels=True).sample

    def collate(self, samples: Sequence[Sample]) -> ModelInputs:
        """A batch of a row each, padded on the right."""
        return pad_samples(samples, self.tokenizer.special_id("</s>"))

    def pack(self, samples: Sequence[Sample]) -> ModelInputs:
        """A batch of one row, samples end to end."""
        return pack_samples(samples)

    def prepare(
        self, conversation: Conversation, *, add_generation_prompt: bool = False, with_labels: bool = False
    ) -> PreparedConversation:
        """Encode one conversation; as ``__call__``, and what reports need beside it."""
        visuals = self.encode(conversation)
        turns = self._turns(conversation, visuals.items if visuals else (), add_generation_prompt)
        encoded = encode_role_turns(turns, self.tokenizer)
        sample = Sample(
            input_ids=torch.tensor([token for turn in encoded for token in turn.ids], dtype=torch.int64),
            visual_mask=torch.tensor([flag for turn in encoded for flag in turn.is_visual], dtype=torch.bool),
            visual=None if visuals is None else visuals.inputs,
        )
        if with_labels:
            sample = self._labelled(sample, encoded)
        return PreparedConversation(sample=sample, text=turns_to_text(turns), visuals=visuals)

    def tokenize(
        self,
        conversation: Conversation,
        items: Sequence[VisualItem],
        *,
        add_generation_prompt: bool = False,
    ) -> list[EncodedTurn]:
        """Token ids, turn by turn, for media that were measured or encoded before.

        Args:
            conversation: what is said.
            items: what ``measure`` or ``encode`` gave for the same media; no file is opened.
            add_generation_prompt: end where the assistant begins.
        """
        return encode_role_turns(self._turns(conversation, items, add_generation_prompt), self.tokenizer)

    def with_settings(self, **changes: Any) -> Self:
        """The same with fields of its config changed, such as ``max_length``."""
        return type(self)(self.tokenizer, replace(self.config, **changes))

    def with_limits(self, *, max_tokens: int) -> Self:
        """The same with another limit of tokens of the media of a conversation."""
        return self.with_settings(max_tokens=max_tokens)

    def _turns(
        self, conversation: Conversation, items: Sequence[VisualItem], add_generation_prompt: bool
    ) -> list[Turn]:
        media = [PartTokens(tokens_per_frame=item.tokens_per_frame, times_s=item.times_s) for item in items]
        return self.config.template.turns(conversation, media, add_generation_prompt=add_generation_prompt)

    def _labelled(self, sample: Sample, encoded: Sequence[EncodedTurn]) -> Sample:
        """The sample with its labels, cut to ``max_length``."""
        labels = torch.tensor(supervise(encoded).labels)
        if bool((labels == IGNORE_INDEX).all()):
            raise InputError("a sample without an answer has no label; give the assistant's turn some words.")
        sample = replace(sample, labels=labels)
        return sample if self.config.max_length is None else cut_sample(sample, self.config.max_length)
