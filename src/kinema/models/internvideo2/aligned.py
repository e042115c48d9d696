"""Conversations as batches for stage 2: what is shown and heard, and answers as captions of it."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import ConfigError, DataError
from kinema.media.audio import read_audio
from kinema.media.frames import AudioClip, FrameBatch
from kinema.media.image import read_image
from kinema.models.internvideo2.stage2_processor import Stage2Processor
from kinema.processors.aligned import AlignedInputs
from kinema.processors.augment import ClipAugmentation
from kinema.processors.drawn_frames import FrameDraw, read_drawn_frames
from kinema.processors.fbank import SAMPLE_RATE
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Part, TextPart, VideoPart

DEFAULT_CAPTION = "video"
"""What a caption is called that nothing asked for by name."""


class AlignedProcessor:
    """Makes batches for ``training.alignment`` from conversations.

    The user's first turn shows an image, a clip, a sound, or a clip and a sound. Each answer is a caption;
    the words of the user's turn before it name it, such as ``audio`` or ``avs``, which adds what is said.
    Samples that show the same file are of one id, in whichever process they are.
    """

    def __init__(self, processor: Stage2Processor, augmentation: ClipAugmentation | None = None) -> None:
        """Put batches behind a processor.

        Args:
            processor: reads media and texts.
            augmentation: what is done to pictures and clips of samples that have a seed, whose frames, and
                the stretch of whose sound, are then drawn too. None draws nothing.

        Raises:
            ConfigError: if clips are to be cropped to no size.
        """
        if augmentation is not None and processor.config.size is None:
            raise ConfigError("clips are cropped to squares of the processor's size; give it one.")
        self.processor, self.augmentation = processor, augmentation

    def __call__(self, conversations: Sequence[Conversation], *, with_labels: bool = True) -> AlignedInputs:
        """One sample a conversation; the captions themselves are the labels.

        Raises:
            DataError: if a conversation shows nothing or too much, has no caption, or if they differ in which
                media or captions they have.
            MediaError: if a file cannot be read.
        """
        return self.collate([self.read(talk) for talk in conversations])

    def read(self, conversation: Conversation) -> "AlignedSample":
        """One conversation, for ``collate``; raises as ``__call__``."""
        pixels, sound = (
            [self._read(part, conversation.seed) for part in _media(conversation) if isinstance(part, kind)]
            for kind in (ImagePart | VideoPart, AudioPart)
        )
        return AlignedSample(
            kinds=tuple(sorted(type(part).__name__ for part in _media(conversation))),
            pixels=pixels[0] if pixels else None,
            sound=sound[0] if sound else None,
            captions=_captions(conversation),
            identity=_identity(conversation),
        )

    def collate(self, samples: "Sequence[AlignedSample]") -> AlignedInputs:
        """A batch of samples of one kind."""
        kinds = {sample.kinds for sample in samples}
        names = {tuple(sorted(sample.captions)) for sample in samples}
        if len(kinds) > 1 or len(names) > 1:
            raise DataError(
                f"every batch is of one kind: these samples show {sorted(kinds)} with captions "
                f"{sorted(names)}. Draw batches by training.order.OneKind."
            )
        return AlignedInputs(
            pixel_values=_stacked([sample.pixels for sample in samples]),
            audio_features=_stacked([sample.sound for sample in samples]),
            captions={
                name: self.processor.texts([sample.captions[name] for sample in samples])
                for name in next(iter(names))
            },
            ids=torch.tensor([sample.identity for sample in samples]),
        )

    def with_settings(self, **settings: Any) -> "AlignedProcessor":
        """The same with settings of the processor changed, or with another ``augmentation``."""
        augmentation = settings.pop("augmentation", self.augmentation)
        return AlignedProcessor(self.processor.with_settings(**settings), augmentation)

    def _read(self, part: Any, seed: int | None) -> Tensor:
        if self.augmentation is not None and seed is not None:
            return self._drawn(part, np.random.default_rng(seed))
        read = {
            ImagePart: self.processor.image,
            VideoPart: self.processor.video,
            AudioPart: self.processor.audio,
        }
        return read[type(part)](part.source)

    def _drawn(self, part: Any, rng: np.random.Generator) -> Tensor:
        settings = self.processor.config
        if isinstance(part, AudioPart):
            longest_s = settings.sound.num_samples / SAMPLE_RATE
            return self.processor.audio(_stretch(part.source, longest_s, rng))
        if isinstance(part, ImagePart):
            frames = _picture(part.source)[None]
        else:
            frames = read_drawn_frames(part, FrameDraw(num_frames=settings.num_frames, rule="stage2"), rng)
        assert self.augmentation is not None
        assert settings.size is not None
        return self.augmentation(frames, settings.size, rng)


class AlignedSample(NamedTuple):
    """One conversation as tensors and captions."""

    kinds: tuple[str, ...]
    """What it shows."""
    pixels: Tensor | None
    """(T, 3, H, W)."""
    sound: Tensor | None
    """(L, mel bins)."""
    captions: dict[str, str]
    identity: int


def _stacked(rows: Sequence[Tensor | None]) -> Tensor | None:
    present = [row for row in rows if row is not None]
    return torch.stack(present) if present else None


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


def _picture(source: Any) -> NDArray[np.uint8]:
    return source if isinstance(source, np.ndarray) else read_image(source)


def _stretch(source: Any, longest_s: float, rng: np.random.Generator) -> AudioClip:
    """Any stretch of a sound, where it is longer than can be heard."""
    clip = source
    if not isinstance(clip, AudioClip):
        clip = read_audio(source, sample_rate=None, num_channels=None)
    length = round(longest_s * clip.sample_rate)
    start = int(rng.integers(max(0, len(clip.data) - length) + 1))
    return replace(clip, data=clip.data[start : start + length])


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
