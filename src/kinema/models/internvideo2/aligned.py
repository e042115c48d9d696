"""Conversations as batches for stage 2: what is shown and heard, and answers as captions of it."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import torch

from kinema.errors import DataError
from kinema.media.frames import AudioClip, FrameBatch
from kinema.models.internvideo2.stage2_processor import Stage2Processor
from kinema.processors.aligned import AlignedInputs
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Part, TextPart, VideoPart
from kinema.processors.text_inputs import TextInputs

DEFAULT_CAPTION = "video"
"""What a caption is called that nothing asked for by name."""


class AlignedProcessor:
    """Makes batches for ``training.alignment`` from conversations.

    The user's first turn shows an image, a clip, a sound, or a clip and a sound. Each answer is a caption;
    the words of the user's turn before it name it, such as ``audio`` or ``avs``, which adds what is said.
    Samples that show the same file are of one id, in whichever process they are.
    """

    def __init__(self, processor: Stage2Processor) -> None:
        self.processor = processor

    def __call__(self, conversations: Sequence[Conversation], *, with_labels: bool = True) -> AlignedInputs:
        """One sample a conversation; the captions themselves are the labels.

        Raises:
            DataError: if a conversation shows nothing or too much, has no caption, or if they differ in which
                media or captions they have.
            MediaError: if a file cannot be read.
        """
        kinds = {tuple(sorted(type(part).__name__ for part in _media(talk))) for talk in conversations}
        names = {tuple(sorted(_captions(talk))) for talk in conversations}
        if len(kinds) > 1 or len(names) > 1:
            raise DataError(
                f"every batch is of one kind: these samples show {sorted(kinds)} with captions "
                f"{sorted(names)}. Draw batches by training.order.OneKind."
            )
        return AlignedInputs(
            pixel_values=self._stacked(conversations, ImagePart | VideoPart),
            audio_features=self._stacked(conversations, AudioPart),
            captions={name: self._texts(conversations, name) for name in next(iter(names))},
            ids=torch.tensor([_identity(talk) for talk in conversations]),
        )

    def with_settings(self, **settings: Any) -> "AlignedProcessor":
        """The same with settings of the processor changed."""
        return AlignedProcessor(self.processor.with_settings(**settings))

    def _stacked(self, conversations: Sequence[Conversation], kind: Any) -> torch.Tensor | None:
        read = {
            ImagePart: self.processor.image,
            VideoPart: self.processor.video,
            AudioPart: self.processor.audio,
        }
        rows = [
            read[type(part)](part.source)
            for talk in conversations
            for part in _media(talk)
            if isinstance(part, kind)
        ]
        return torch.stack(rows) if rows else None

    def _texts(self, conversations: Sequence[Conversation], name: str) -> TextInputs:
        return self.processor.texts([_captions(talk)[name] for talk in conversations])


def _media(talk: Conversation) -> list[Any]:
    parts: list[Part] = [part for message in talk.messages for part in message.parts]
    media = [part for part in parts if not isinstance(part, TextPart)]
    seen = sum(isinstance(part, ImagePart | VideoPart) for part in media)
    if not media or seen > 1 or len(media) - seen > 1:
        raise DataError(
            f"a sample shows an image, a clip, a sound, or a clip with its sound; this one has {len(media)} "
            "media."
        )
    return media


def _captions(talk: Conversation) -> dict[str, str]:
    captions: dict[str, str] = {}
    name = DEFAULT_CAPTION
    for message in talk.messages:
        if message.role == "assistant":
            captions[name] = message.text
        else:
            name = message.text.strip() or DEFAULT_CAPTION
    if not captions:
        raise DataError("a sample needs a caption: the answer of a conversation, and this one has none.")
    return captions


def _identity(talk: Conversation) -> int:
    """A number below 2**63 of what is shown: equal for equal files or equal pixels."""
    source = _media(talk)[0].source
    content: bytes | memoryview
    if isinstance(source, FrameBatch | AudioClip):
        content = np.ascontiguousarray(source.data).data
    elif isinstance(source, np.ndarray):
        content = np.ascontiguousarray(source).data
    else:
        content = repr(source).encode()
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big") >> 1
