"""Conversations as pairs: what the first turn shows, and the answer as the text that belongs to it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kinema.errors import DataError
from kinema.models.languagebind.processor import LanguageBindProcessor, Media
from kinema.processors.messages import Conversation, TextPart, VideoFrame
from kinema.processors.pairs import PairInputs


class PairProcessor:
    """Makes batches for a contrastive loss, from the records that other losses learn from too."""

    def __init__(self, processor: LanguageBindProcessor) -> None:
        self.processor = processor

    def __call__(self, conversations: Sequence[Conversation], *, with_labels: bool = True) -> PairInputs:
        """One pair a conversation; the pairs themselves are the labels.

        What is drawn of a sample, such as the stretches of a long sound, is drawn from its seed; of one
        without, nothing is drawn.

        Raises:
            DataError: if a conversation does not show exactly one thing, or has no answer.
            InputError: if it shows what this modality does not take.
        """
        return self.collate([self.read(talk) for talk in conversations])

    def read(self, conversation: Conversation) -> tuple[Tensor, str]:
        """What one conversation shows, and its text, for ``collate``; raises as ``__call__``."""
        pixels = self.processor.pixels(_shown(conversation), conversation.generator())
        return pixels, _answer(conversation)

    def collate(self, samples: Sequence[tuple[Tensor, str]]) -> PairInputs:
        """A batch of pairs."""
        texts = self.processor.texts([text for _, text in samples])
        pixels = torch.stack([pixels for pixels, _ in samples])
        return PairInputs(pixel_values=pixels, input_ids=texts.shortened().input_ids)

    def with_settings(self, **settings: object) -> "PairProcessor":
        """The same with settings of the processor changed."""
        return PairProcessor(self.processor.with_settings(**settings))


def _shown(talk: Conversation) -> Media:
    media = [part for message in talk.messages for part in message.parts if not isinstance(part, TextPart)]
    if len(media) != 1 or isinstance(media[0].source, VideoFrame):
        raise DataError(f"a pair shows one image, video or sound; this conversation has {len(media)} media.")
    source = media[0].source
    return list(source) if isinstance(source, list | tuple) else source


def _answer(talk: Conversation) -> str:
    answers = [message.text for message in talk.messages if message.role == "assistant"]
    if not answers:
        raise DataError("a pair needs a text: the answer of a conversation, and this one has none.")
    return answers[0]
