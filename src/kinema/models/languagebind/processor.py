"""Files to what LanguageBind's towers see: pictures, clips, sound, depth and heat, and text.

T frames, H W pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import ConfigError, InputError
from kinema.media.frames import AudioClip, FrameBatch
from kinema.media.image import read_image
from kinema.media.sample import sampling_policy
from kinema.media.source import Source
from kinema.media.video import open_video
from kinema.models.languagebind.config import NUM_FRAMES, PUBLISHED, Modality
from kinema.processors.clip_pixels import CLIPPixelsConfig, image_pixels, video_pixels
from kinema.processors.clip_text import CLIPTokenizer, TextInputs
from kinema.processors.depth import MAX_DEPTH_M
from kinema.processors.signals import read_depth, read_heat, read_sound
from kinema.processors.spectrogram import SpectrogramConfig
from kinema.processors.square_media import clip_of, file_of

Media = Source | NDArray[Any] | Sequence[str] | FrameBatch | AudioClip
"""A file, or what was read from one: the methods of ``LanguageBindProcessor`` say what each takes."""


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

    def pixels(self, media: Media, generator: torch.Generator | None = None) -> Tensor:
        """What the checkpoint's own tower sees of one file.

        Args:
            media: one, as the method for the modality takes it.
            generator: of what training draws, which is the stretches of a long sound.

        Returns:
            (T, 3, H, W) float32; T is 1 but for video.

        Raises:
            InputError: if it is not what this modality takes.
            MediaError: if a file cannot be read, or holds no such thing: a video without a sound track.
        """
        if self.modality is Modality.AUDIO:
            return self.audio(media, generator)
        read = {
            Modality.IMAGE: self.image,
            Modality.VIDEO: self.video,
            Modality.DEPTH: self.depth,
            Modality.THERMAL: self.thermal,
        }
        return read[self.modality](media)

    def image(self, media: Media) -> Tensor:
        """A picture: a file, or uint8 RGB (H, W, 3); (1, 3, S, S)."""
        picture = media if isinstance(media, np.ndarray) else read_image(file_of(media, "an image"))
        return image_pixels(picture, self.config.pixels)[None]

    def video(self, media: Media) -> Tensor:
        """A clip: a file, a folder or list of images, frames with their times, or uint8 RGB (T, H, W, 3).

        Of a file ``num_frames`` are read; frames that are decoded already are all taken. (T, 3, S, S).
        """
        size = self.config.pixels.size
        if isinstance(media, FrameBatch):
            return video_pixels(media.data, size=size)
        if isinstance(media, np.ndarray):
            return video_pixels(clip_of(media), size=size)
        if isinstance(media, AudioClip):
            raise InputError("a video model takes frames, got sound.")
        with open_video(media) as video:
            frames = video.iter_read(sampling=self.config.sampling, num_frames=self.config.num_frames)
            return video_pixels((pixels for _, pixels in frames), size=size)

    def audio(self, media: Media, generator: torch.Generator | None = None) -> Tensor:
        """Sound: a file, the sound track of a video file, or an ``AudioClip`` of any rate; (1, 3, M, L).

        Of sound with more than two channels, a stereo mix is heard; the filter bank takes its first channel.
        Of a file over a minute, whose header says so, the three stretches alone are read. They are drawn with
        a generator, as the original draws them; without one each is the middle of those there are.
        """
        sound = media if isinstance(media, AudioClip) else file_of(media, "sound")
        return read_sound(sound, self.config.sound, generator=generator)

    def depth(self, media: Media) -> Tensor:
        """A depth map: a grey file of 16 bits in millimetres, or such numbers (H, W); (1, 3, S, S)."""
        depth = media if isinstance(media, np.ndarray) else file_of(media, "a depth map")
        return read_depth(depth, self.config.pixels, max_depth_m=self.config.max_depth_m)

    def thermal(self, media: Media) -> Tensor:
        """A heat map: an image file, uint8 RGB (H, W, 3), or one channel (H, W); (1, 3, S, S).

        One channel becomes three equal ones, as the paper has it (arXiv 2310.01852); the original code takes
        files of three only.
        """
        heat = media if isinstance(media, np.ndarray) else file_of(media, "a heat map")
        return read_heat(heat, self.config.pixels)
