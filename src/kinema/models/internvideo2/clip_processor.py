"""Files and texts to what InternVideo2-CLIP takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from kinema.errors import ConfigError
from kinema.media.sample import sampling_policy
from kinema.processors.captions import clean_caption
from kinema.processors.clip_text import CLIPTokenizer
from kinema.processors.square_media import FrameSize, Media, read_square_clip, read_square_image
from kinema.processors.summary_text import SummaryTokenizer
from kinema.processors.text_inputs import TextInputs, check_texts

MODALITIES = ("video", "image")


@dataclass(frozen=True, kw_only=True)
class CLIPProcessorConfig:
    """How media become tensors."""

    modality: str = "video"
    """What ``pixels`` takes, one of ``MODALITIES``."""
    size: int | None = 224
    """Pixels a side that frames are squeezed to; None for the size they have, with ``keeps_shape``."""
    keeps_shape: bool = False
    """Whether frames keep their aspect ratio, with as many pixels as the square, so that small things do not
    vanish. The models were trained on squares; their positions are interpolated."""
    num_frames: int = 8
    """Frames read of a clip: 8 in training; others work, with interpolated positions."""
    sampling: str = "internvideo2_middle"
    """A policy of ``media.sample``; the default is the published evaluation's."""
    cleans_captions: bool = True
    """Whether texts lose their punctuation, as in training and evaluation; the published demo keeps it."""

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise ConfigError(f"modality must be one of {', '.join(MODALITIES)}, got {self.modality!r}.")
        if self.num_frames < 1:
            raise ConfigError(f"num_frames must be at least 1, got {self.num_frames}.")
        _ = self.frame_size  # refuses sizes that cannot be
        sampling_policy(self.sampling)

    @property
    def frame_size(self) -> FrameSize:
        """How large frames are seen."""
        return FrameSize(size=self.size, keeps_shape=self.keeps_shape)


class CLIPProcessor:
    """The eyes and the dictionary of a checkpoint."""

    def __init__(self, tokenizer: CLIPTokenizer | SummaryTokenizer, config: CLIPProcessorConfig) -> None:
        self.tokenizer, self.config = tokenizer, config

    @property
    def modality(self) -> str:
        """What ``pixels`` takes."""
        return self.config.modality

    @property
    def published(self) -> Mapping[str, str]:
        """A released checkpoint for what this one may not do."""
        return {"audio": "OpenGVLab/InternVideo2-Stage2_6B-224p-f4"}

    def with_settings(self, **changes: object) -> Self:
        """The same with some fields of its config changed, such as ``num_frames``."""
        return type(self)(self.tokenizer, replace(self.config, **changes))  # type: ignore[arg-type]

    def texts(self, texts: Sequence[str]) -> TextInputs:
        """Token ids of texts.

        Raises:
            InputError: if there is none, or one is no string.
        """
        check_texts(texts)
        if self.config.cleans_captions:
            texts = [clean_caption(text) for text in texts]
        return self.tokenizer(texts)

    def pixels(self, media: Media) -> Tensor:
        """What the network sees of one file, (T, 3, H, W); T of an image is 1.

        Raises:
            InputError: if it is not what this modality takes.
            MediaError: if a file cannot be read, or holds no such thing.
        """
        settings = self.config
        if settings.modality == "image":
            return read_square_image(media, frame_size=settings.frame_size)
        return read_square_clip(
            media,
            frame_size=settings.frame_size,
            num_frames=settings.num_frames,
            sampling=settings.sampling,
        )
