"""Files to what LanguageBind's towers see: pictures, clips, sound, depth and heat, and text.

T frames, H W pixels, N sound samples, C sound channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import ConfigError, InputError
from kinema.media.audio import read_audio_open, stated_span_s
from kinema.media.frames import AudioClip, FrameBatch
from kinema.media.image import read_depth_map, read_image
from kinema.media.sample import sampling_policy
from kinema.media.source import OpenSource, Source, opened
from kinema.media.video import open_video
from kinema.models.languagebind.config import NUM_FRAMES, PUBLISHED, Modality
from kinema.processors.clip_pixels import CLIPPixelsConfig, image_pixels, video_pixels
from kinema.processors.clip_text import CLIPTokenizer, TextInputs
from kinema.processors.depth import MAX_DEPTH_M, depth_pixels
from kinema.processors.fbank import FRAME_STEP, SAMPLE_RATE
from kinema.processors.resample import resample
from kinema.processors.spectrogram import (
    SpectrogramConfig,
    choose_starts,
    spectrogram_pixels,
    stretch_samples,
)

Media = Source | NDArray[Any] | Sequence[str] | FrameBatch | AudioClip
"""A file, or what was read from one: the methods of ``LanguageBindProcessor`` say what each takes."""

_WHOLE_S = 60.0
"""Sound of files up to this length is read whole; an hour of it would take gigabytes."""


@dataclass(frozen=True, kw_only=True)
class LanguageBindProcessorConfig:
    """How media become what a tower sees; what does not concern the modality is not looked at."""

    modality: Modality
    pixels: CLIPPixelsConfig = field(default_factory=CLIPPixelsConfig)
    num_frames: int = NUM_FRAMES
    """Frames read of a clip. Others than the tower's own work, and differ from training: it says so."""
    sampling: str = "video_llava"
    """A policy of ``media.sample``; the default is that of the released weights, first and last included."""
    max_depth_m: float = MAX_DEPTH_M
    """Metres that are white in a depth map; 0 takes the furthest of each map."""
    sound: SpectrogramConfig = field(default_factory=SpectrogramConfig)

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise ConfigError(f"num_frames must be at least 1, got {self.num_frames}.")
        sampling_policy(self.sampling)


class LanguageBindProcessor:
    """The eyes, the ears and the dictionary of one checkpoint."""

    def __init__(self, tokenizer: CLIPTokenizer, config: LanguageBindProcessorConfig) -> None:
        self.tokenizer = tokenizer
        self.config = config

    @property
    def modality(self) -> Modality:
        """What ``pixels`` takes."""
        return self.config.modality

    @property
    def published(self) -> Mapping[str, str]:
        """A released checkpoint for every modality of this space."""
        return PUBLISHED

    def with_settings(self, **changes: Any) -> Self:
        """The same with some fields of its config changed, such as ``num_frames``."""
        return type(self)(self.tokenizer, replace(self.config, **changes))

    def texts(self, texts: Sequence[str]) -> TextInputs:
        """Token ids of texts."""
        return self.tokenizer(texts)

    def pixels(self, media: Media) -> Tensor:
        """What the checkpoint's own tower sees of one file.

        Returns:
            (T, 3, H, W) float32; T is 1 but for video.

        Raises:
            InputError: if it is not what this modality takes.
            MediaError: if a file cannot be read, or holds no such thing: a video without a sound track.
        """
        read = {
            Modality.IMAGE: self.image,
            Modality.VIDEO: self.video,
            Modality.AUDIO: self.audio,
            Modality.DEPTH: self.depth,
            Modality.THERMAL: self.thermal,
        }
        return read[self.modality](media)

    def image(self, media: Media) -> Tensor:
        """A picture: a file, or uint8 RGB (H, W, 3); (1, 3, S, S)."""
        picture = media if isinstance(media, np.ndarray) else read_image(_file(media, "an image"))
        return image_pixels(picture, self.config.pixels)[None]

    def video(self, media: Media) -> Tensor:
        """A clip: a file, a folder or list of images, frames with their times, or uint8 RGB (T, H, W, 3).

        Of a file ``num_frames`` are read; frames that are decoded already are all taken. (T, 3, S, S).
        """
        size = self.config.pixels.size
        if isinstance(media, FrameBatch):
            return video_pixels(media.data, size=size)
        if isinstance(media, np.ndarray):
            return video_pixels(media, size=size)
        if isinstance(media, AudioClip):
            raise InputError("a video model takes frames, got sound.")
        with open_video(media) as video:
            frames = video.iter_read(sampling=self.config.sampling, num_frames=self.config.num_frames)
            return video_pixels((pixels for _, pixels in frames), size=size)

    def audio(self, media: Media) -> Tensor:
        """Sound: a file, the sound track of a video file, or an ``AudioClip`` of any rate; (1, 3, M, L).

        Of sound with more than two channels, a stereo mix is heard; the filter bank takes its first channel.
        Of a file over a minute, whose header says so, the three stretches alone are read.
        """
        if isinstance(media, AudioClip):
            return self._heard(media)
        with opened(_file(media, "sound")) as file:
            span_s = stated_span_s(file)
            if span_s is not None and span_s[1] - span_s[0] > _WHOLE_S:
                return self._heard_apart(file, *span_s)
            return self._heard(_stored_sound(file))

    def _heard(self, clip: AudioClip) -> Tensor:
        waveform = resample(torch.from_numpy(clip.data.T), clip.sample_rate, SAMPLE_RATE)  # (C, N)
        return spectrogram_pixels(waveform, self.config.sound)[None]

    def _heard_apart(self, file: OpenSource, start_s: float, end_s: float) -> Tensor:
        """``_heard`` of a long file: each stretch is read, and becomes a channel, by itself."""
        num_samples = stretch_samples(self.config.sound)
        channels = []
        for start in choose_starts(int((end_s - start_s) * SAMPLE_RATE), self.config.sound):
            first_s = start_s + start * FRAME_STEP / SAMPLE_RATE
            # A frame more than needed, as resampling may round down.
            clip = _stored_sound(file, first_s, first_s + (num_samples + FRAME_STEP) / SAMPLE_RATE)
            waveform = resample(torch.from_numpy(clip.data.T), clip.sample_rate, SAMPLE_RATE)
            channels.append(spectrogram_pixels(waveform[:, :num_samples], self.config.sound)[0])
        return torch.stack(channels)[None]

    def depth(self, media: Media) -> Tensor:
        """A depth map: a grey file of 16 bits in millimetres, or such numbers (H, W); (1, 3, S, S)."""
        millimetres = media if isinstance(media, np.ndarray) else read_depth_map(_file(media, "a depth map"))
        return depth_pixels(millimetres, self.config.pixels, max_depth_m=self.config.max_depth_m)[None]

    def thermal(self, media: Media) -> Tensor:
        """A heat map: an image file, uint8 RGB (H, W, 3), or one channel (H, W); (1, 3, S, S).

        One channel becomes three equal ones, as the paper has it (arXiv 2310.01852); the original code takes
        files of three only.
        """
        if isinstance(media, np.ndarray) and media.ndim == 2:
            media = np.repeat(media[:, :, None], 3, axis=2)
        return self.image(media)


def _stored_sound(file: OpenSource, start_s: float | None = None, end_s: float | None = None) -> AudioClip:
    return read_audio_open(file, sample_rate=None, num_channels=None, start_s=start_s, end_s=end_s)


def _file(media: Media, wanted: str) -> Source:
    """What can be opened; lists, and decoded media of another kind, are refused."""
    is_list = isinstance(media, Sequence) and not isinstance(media, str | bytes)
    if is_list or isinstance(media, np.ndarray | FrameBatch | AudioClip):
        raise InputError(
            f"this model takes {wanted}, as a file or decoded, got {type(media).__name__}. Decoded sound "
            "comes as an AudioClip, which says its rate; of several files, each is embedded alone."
        )
    return cast(Source, media)
