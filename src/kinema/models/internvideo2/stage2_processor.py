"""Files to what stage 2 of InternVideo2 takes: pictures, clips, sound, and text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from kinema.errors import ConfigError, InputError
from kinema.media.audio import read_audio
from kinema.media.frames import AudioClip, FrameBatch
from kinema.media.sample import sampling_policy
from kinema.models.internvideo2.config import STAGE2_FRAMES
from kinema.processors.beats_features import BEATsFeaturesConfig, beats_features
from kinema.processors.bert_text import BertTokenizer
from kinema.processors.captions import clean_caption
from kinema.processors.fbank import SAMPLE_RATE
from kinema.processors.resample import resample
from kinema.processors.square_media import FrameSize, Media, file_of, read_square_clip, read_square_image
from kinema.processors.text_inputs import TextInputs, check_texts

MODALITIES = ("video", "image", "audio", "audio_video")


@dataclass(frozen=True, kw_only=True)
class Stage2ProcessorConfig:
    """How media become tensors; what does not concern the modality is not looked at."""

    modality: str = "video"
    """What ``pixels`` takes, one of ``MODALITIES``."""
    size: int | None = 224
    """Pixels a side that frames are squeezed to; None for the size they have, with ``keeps_shape``."""
    keeps_shape: bool = False
    """Whether frames keep their aspect ratio, with as many pixels as the square, so that small things do not
    vanish. The models were trained on squares; their positions are interpolated."""
    num_frames: int = STAGE2_FRAMES
    """Frames read of a clip: 4 in training; 8 in the paper's best numbers, with interpolated positions."""
    sampling: str = "internvideo2_middle"
    """A policy of ``media.sample``; the default is the published evaluation's."""
    max_tokens: int = 32
    """Most tokens of a text. Published evaluations take 64 for DiDeMo and MSVD, 150 for ActivityNet, 96 for
    LSMDC's validation, and 32 for the rest."""
    cleans_captions: bool = True
    """Whether texts lose their punctuation, as in training and evaluation; the published demo keeps it."""
    sound: BEATsFeaturesConfig = field(default_factory=BEATsFeaturesConfig)

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise ConfigError(f"modality must be one of {', '.join(MODALITIES)}, got {self.modality!r}.")
        if self.num_frames < 1 or self.max_tokens < 2:
            raise ConfigError(
                f"num_frames must be at least 1 and max_tokens 2, got {self.num_frames} and "
                f"{self.max_tokens}."
            )
        _ = self.frame_size  # refuses sizes that cannot be
        sampling_policy(self.sampling)

    @property
    def frame_size(self) -> FrameSize:
        """How large frames are seen."""
        return FrameSize(size=self.size, keeps_shape=self.keeps_shape)


class Stage2Processor:
    """The eyes, the ears and the dictionary of a checkpoint."""

    def __init__(self, tokenizer: BertTokenizer, config: Stage2ProcessorConfig) -> None:
        self.tokenizer = BertTokenizer(tokenizer.backend, max_tokens=config.max_tokens)
        self.config = config

    @property
    def modality(self) -> str:
        """What ``pixels`` takes."""
        return self.config.modality

    @property
    def published(self) -> Mapping[str, str]:
        """A released checkpoint for what this one may not do."""
        hears = "OpenGVLab/InternVideo2-Stage2_6B-224p-f4"
        return {"audio": hears, "audio_video": hears}

    def with_settings(self, **changes: Any) -> Self:
        """The same with some fields of its config changed, such as ``num_frames``."""
        return type(self)(self.tokenizer, replace(self.config, **changes))

    def texts(self, texts: Sequence[str]) -> TextInputs:
        """Token ids of texts; those of speech are texts like any other.

        Raises:
            InputError: if there is none, or one is no string.
        """
        check_texts(texts)
        if self.config.cleans_captions:
            texts = [clean_caption(text) for text in texts]
        return self.tokenizer(texts)

    def pixels(self, media: Any) -> Tensor | tuple[Tensor, Tensor]:
        """What the network sees or hears of one file, as the method for its modality makes it.

        Raises:
            InputError: if it is not what this modality takes.
            MediaError: if a file cannot be read, or holds no such thing: a video without a sound track.
        """
        if self.modality == "audio_video":
            return self.film(media)
        read = {"video": self.video, "image": self.image, "audio": self.audio}
        return read[self.modality](media)

    def image(self, media: Media) -> Tensor:
        """A picture, as of ``read_square_image``; (1, 3, H, W)."""
        return read_square_image(media, frame_size=self.config.frame_size)

    def video(self, media: Media) -> Tensor:
        """A clip, as of ``read_square_clip``; (T, 3, H, W)."""
        settings = self.config
        return read_square_clip(
            media,
            frame_size=settings.frame_size,
            num_frames=settings.num_frames,
            sampling=settings.sampling,
        )

    def film(self, media: Media | tuple[Media, Media]) -> tuple[Tensor, Tensor]:
        """A clip with its sound: a video file with a sound track, or a tuple of the clip and its sound apart.

        Returns:
            (T, 3, H, W) and (L, mel bins), as of ``video`` and ``audio``.

        Raises:
            InputError: if frames come without sound.
            MediaError: if the file has no sound track.
        """
        if isinstance(media, tuple) and len(media) == 2:
            seen, heard = media
        elif isinstance(media, FrameBatch | np.ndarray):
            raise InputError(
                f"clips are embedded with their sound, and a {type(media).__name__} has none; pass a list "
                "of tuples (clip, sound), or files with a sound track."
            )
        else:
            seen = heard = media
        return self.video(seen), self.audio(heard)

    def audio(self, media: Media) -> Tensor:
        """Sound: a file, the sound track of a video file, or an ``AudioClip`` of any rate; (L, mel bins).

        Of sound over ten seconds the middle is heard.
        """
        clip = media
        if not isinstance(clip, AudioClip):
            clip = read_audio(file_of(media, "sound"), sample_rate=None, num_channels=None)
        waveform = resample(torch.from_numpy(clip.data.T), clip.sample_rate, SAMPLE_RATE)  # (C, N)
        return beats_features(waveform, self.config.sound)
