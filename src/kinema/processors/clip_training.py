"""Conversations that show a clip and name its class, as batches: what clips are trained on.

B clips, T frames, S side of the square.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from kinema.errors import ConfigError, DataError
from kinema.processors.augment import ClipAugmentation
from kinema.processors.drawn_frames import FrameDraw, read_drawn_frames
from kinema.processors.labelled import LabelledClips
from kinema.processors.messages import Conversation, VideoPart
from kinema.processors.views import ViewsConfig, crop_views


@dataclass(frozen=True, kw_only=True)
class ClipTrainingConfig:
    """How clips are drawn."""

    size: int = 224
    """S."""
    frames: FrameDraw = field(default_factory=FrameDraw)
    augmentation: ClipAugmentation | None = None
    """What is done to a sample that has a seed; None is done to none, nor to a sample without: the middle
    square of fixed frames, as in validation."""
    unflipped: tuple[str, ...] = ()
    """Collections whose clips are never mirrored, because left and right are what they are about. A clip is
    of the collection that the words beside it name."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"size must be at least 1 pixel, got {self.size}.")


class ClipTraining:
    """Makes ``LabelledClips``.

    The user's turn shows one clip, perhaps beside the name of the collection it is of; the answer is the
    number of its class.
    """

    def __init__(self, config: ClipTrainingConfig) -> None:
        self.config = config

    def __call__(self, conversations: Sequence[Conversation], *, with_labels: bool = True) -> LabelledClips:
        """One clip a conversation; what is drawn of it is drawn from its seed, and so is the same next time.

        Raises:
            DataError: if a conversation does not show exactly one clip, or its answer is no number.
            MediaError: if a file cannot be read.
        """
        return self.collate([self.read(talk) for talk in conversations])

    def read(self, conversation: Conversation) -> tuple[Tensor, int]:
        """The clip of one conversation and its class, for ``collate``; raises as ``__call__``."""
        return self._clip(conversation), _label(conversation)

    def collate(self, samples: Sequence[tuple[Tensor, int]]) -> LabelledClips:
        """A batch of clips."""
        return LabelledClips(
            pixel_values=torch.stack([clip for clip, _ in samples]),
            labels=torch.tensor([label for _, label in samples]),
        )

    def with_settings(self, **settings: Any) -> Self:
        """The same with some fields of its config changed."""
        return type(self)(replace(self.config, **settings))

    def _clip(self, talk: Conversation) -> Tensor:
        """(T, 3, S, S), normalised."""
        settings, part = self.config, _only_clip(talk)
        if settings.augmentation is None or talk.seed is None:
            frames = read_drawn_frames(part, settings.frames, None)
            return crop_views(frames, ViewsConfig(num_crops=1, size=settings.size))[0]
        rng = np.random.default_rng(talk.seed)
        frames = read_drawn_frames(part, settings.frames, rng)
        may_flip = _collection(talk) not in settings.unflipped
        return settings.augmentation(frames, settings.size, rng, may_flip=may_flip)


def _only_clip(talk: Conversation) -> VideoPart:
    clips = [part for message in talk.messages for part in message.parts if isinstance(part, VideoPart)]
    if len(clips) != 1:
        raise DataError(f"a sample shows one clip, this one {len(clips)}.")
    return clips[0]


def _collection(talk: Conversation) -> str:
    return "".join(message.text for message in talk.messages if message.role == "user").strip()


def _label(talk: Conversation) -> int:
    answers = [message.text for message in talk.messages if message.role == "assistant"]
    if len(answers) != 1 or not answers[0].isdecimal():
        raise DataError(f"a sample has one answer, the number of its class; this one has {answers}.")
    return int(answers[0])
