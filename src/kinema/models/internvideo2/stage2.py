"""Stage 2 of InternVideo2: video, sound and text in one space, and text in the light of both.

InternVideo2, arXiv 2403.15377, 3.2; OpenGVLab/InternVideo, ``internvideo2_stage2_visual.py`` (1B) and
``internvideo2_stage2_audiovisual.py`` (6B). Speech is text: its transcript goes through the text encoder.

B clips or texts, T frames, H W pixels, L frames of sound, N text positions, M tokens of a memory, P width of
the shared space.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import ConfigError, InputError
from kinema.models.internvideo2.student import InternVideo2Student, StudentConfig
from kinema.modules.audio.beats import BEATs, BEATsConfig
from kinema.modules.linear import Linear
from kinema.modules.text.bert import Bert, BertConfig

INITIAL_TEMPERATURE = 0.07
PAD_ID = 0
"""Of BERT's vocabularies."""


class Kind(StrEnum):
    """What a text is compared with."""

    VIDEO = "video"
    AUDIO = "audio"
    AUDIO_VIDEO = "audio_video"


@dataclass(frozen=True, kw_only=True)
class SoundConfig:
    """What a model that hears has besides."""

    encoder: BEATsConfig
    has_match_head: bool = False
    """Whether sound alone is matched with text; the released 6B matches video, and video with sound."""


@dataclass(frozen=True, kw_only=True)
class Stage2Config:
    """Three encoders and the space they share."""

    vision: StudentConfig
    """Tower and decoders; the latter come along from stage 1, and nothing of stage 2 trains them."""
    text: BertConfig
    projection_size: int
    """P."""
    sound: SoundConfig | None = None
    """None for a model that hears nothing, whose fusion layers look at the tower's own tokens."""

    def __post_init__(self) -> None:
        width = self.vision.vision.hidden_size
        if self.sound is None and self.text.memory_size != width:
            raise ConfigError(
                f"without sound the fusion layers look at tokens of the tower: memory_size must be {width}, "
                f"got {self.text.memory_size}."
            )


class TextFeatures(NamedTuple):
    """Texts alone."""

    tokens: Tensor
    """(B, N, D), what fusion layers start from."""
    attention_mask: Tensor
    """(B, N), non-zero where a token is real."""
    projection: Tensor
    """(B, P), not of unit length."""

    def rows(self, index: Tensor) -> "TextFeatures":
        """Those texts, in that order."""
        return TextFeatures(self.tokens[index], self.attention_mask[index], self.projection[index])


class MediaFeatures(NamedTuple):
    """What texts are compared with."""

    kind: Kind
    tokens: Tensor
    """(B, M, memory_size), what fusion layers look at."""
    projection: Tensor
    """(B, P), not of unit length."""

    def rows(self, index: Tensor) -> "MediaFeatures":
        """Those media, in that order."""
        return MediaFeatures(self.kind, self.tokens[index], self.projection[index])


class InternVideo2Stage2(nn.Module):
    """A video tower, BERT, BEATs where the model hears, and what makes their vectors comparable."""

    def __init__(self, config: Stage2Config) -> None:
        super().__init__()
        self.config = config
        width = config.projection_size
        self.vision_encoder = InternVideo2Student(config.vision)
        self.text_encoder = Bert(config.text)
        self.vision_projection = Linear(config.vision.pooled_size, width)
        self.text_projection = Linear(config.text.hidden_size, width)
        self.match_head = Linear(config.text.hidden_size, 2)
        self.temperature = nn.Parameter(torch.tensor(INITIAL_TEMPERATURE))
        self.hearing = None
        if config.sound is not None:
            self.hearing = Hearing(config, config.sound)

    @property
    def logit_scale(self) -> Tensor:
        """Logarithm of what cosines are multiplied with before a softmax."""
        return -self.temperature.log()

    def num_patches(self, pixel_values: Tensor) -> int:
        """How many patches each of these images or clips has, (B, T, 3, H, W)."""
        return prod(self.vision_encoder.vision_encoder.encoder.grid_of(pixel_values))

    def embed_pixels(self, pixel_values: Tensor) -> Tensor:
        """Unit vectors of images or clips, (B, T, 3, H, W) to (B, P)."""
        return F.normalize(self.see(pixel_values).projection, dim=-1)

    def embed_audio(self, audio_features: Tensor) -> Tensor:
        """Unit vectors of sounds, (B, L, mel bins) to (B, P).

        Raises:
            InputError: if the model hears nothing.
        """
        return F.normalize(self.hear(audio_features).projection, dim=-1)

    def embed_audio_video(self, pixel_values: Tensor, audio_features: Tensor) -> Tensor:
        """Unit vectors of clips with their sound, arguments as for ``see`` and ``hear``, to (B, P).

        Raises:
            InputError: if the model hears nothing.
        """
        both = self.join(self.see(pixel_values), self.hear(audio_features))
        return F.normalize(both.projection, dim=-1)

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Unit vectors of texts, (B, N) to (B, P); arguments as for ``read``."""
        return F.normalize(self.read(input_ids, attention_mask).projection, dim=-1)

    def read(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> TextFeatures:
        """Texts alone.

        Args:
            input_ids: (B, N), padded on the right.
            attention_mask: (B, N), non-zero where a token is real; None where all but BERT's padding is.
        """
        if attention_mask is None:
            attention_mask = input_ids != PAD_ID
        tokens = self.text_encoder(input_ids, attention_mask)
        return TextFeatures(tokens, attention_mask, self.text_projection(tokens[:, 0]))

    def see(
        self, pixel_values: Tensor, keep_mask: Tensor | None = None, *, num_segments: int = 1
    ) -> MediaFeatures:
        """Images or clips alone.

        Args:
            pixel_values: (B, T, 3, H, W), normalised; T of 1 is a single image.
            keep_mask: (B, 1 + patches), see ``InternVideo2Vision``.
            num_segments: clips that each is seen as, of every so many frames; tokens are averaged over them.

        Raises:
            InputError: if the pixels have another form, or T is no multiple of ``num_segments``.
        """
        if num_segments < 1 or pixel_values.shape[1] % num_segments:
            raise InputError(
                f"clips of {pixel_values.shape[1]} frames cannot be seen as {num_segments} segments of as "
                "many frames each."
            )
        tower = self.vision_encoder.vision_encoder
        segments = [tower(pixel_values[:, first::num_segments], keep_mask) for first in range(num_segments)]
        adapt = nn.Identity() if self.hearing is None else self.hearing.vision_tokens
        tokens = torch.stack([adapt(segment.tokens) for segment in segments]).mean(0)
        pooled = torch.stack([segment.pooled for segment in segments]).mean(0)
        return MediaFeatures(Kind.VIDEO, tokens, self.vision_projection(pooled))

    def hear(self, audio_features: Tensor) -> MediaFeatures:
        """Sounds alone, (B, L, mel bins) as ``beats_features`` makes them.

        Raises:
            InputError: if the model hears nothing, or the features have another form.
        """
        hearing = self._hearing()
        tokens = hearing.audio_encoder(audio_features)  # (B, M, D_audio)
        projection = hearing.audio_projection(tokens.mean(1))
        return MediaFeatures(Kind.AUDIO, hearing.audio_tokens(tokens), projection)

    def join(self, seen: MediaFeatures, heard: MediaFeatures) -> MediaFeatures:
        """Clips with their sound, the sound first."""
        both = torch.cat([heard.projection, seen.projection], dim=-1)
        tokens = torch.cat([heard.tokens, seen.tokens], dim=1)
        return MediaFeatures(Kind.AUDIO_VIDEO, tokens, self._hearing().joint_projection(both))

    def fuse(self, media: MediaFeatures, text: TextFeatures) -> Tensor:
        """Texts in the light of media, row by row: (B, N, D)."""
        return self.text_encoder.fuse(text.tokens, text.attention_mask, media.tokens)

    def match(self, media: MediaFeatures, text: TextFeatures) -> Tensor:
        """Logits of "does not belong together" and "does", row by row: (B, 2).

        Raises:
            InputError: if the model has no head for media of this kind.
        """
        return self._head(media.kind)(self.fuse(media, text)[:, 0])

    def match_pixels(self, pixel_values: Tensor, input_ids: Tensor) -> Tensor:
        """How well one text, (1, N), belongs to each of some clips, (B, T, 3, H, W): (B,) logits."""
        return self.match_one(self.see(pixel_values), input_ids)

    def match_one(self, media: MediaFeatures, input_ids: Tensor) -> Tensor:
        """How well one text, (1, N), belongs to each of some media: (B,) logits; errors as for ``match``."""
        everywhere = torch.zeros(len(media.tokens), dtype=torch.int64, device=input_ids.device)
        return self.match(media, self.read(input_ids).rows(everywhere))[:, 1]

    def _head(self, kind: Kind) -> nn.Module:
        if kind is Kind.VIDEO:
            return self.match_head
        heads = self._hearing().match_heads
        if kind not in heads:
            raise InputError(f"this model does not match {kind} with text; it has no head for it.")
        return heads[kind]

    def _hearing(self) -> "Hearing":
        if self.hearing is None:
            raise InputError(
                "this model hears nothing; take one with an audio encoder, as stage 2 of the 6B."
            )
        return self.hearing


class Hearing(nn.Module):
    """What a model that hears has besides: the encoder of sound, and one width for the tokens of both."""

    def __init__(self, config: Stage2Config, sound: SoundConfig) -> None:
        super().__init__()
        width, memory_size = config.projection_size, config.text.memory_size
        self.audio_encoder = BEATs(sound.encoder)
        self.audio_projection = Linear(sound.encoder.hidden_size, width)
        self.audio_tokens = NormedLinear(sound.encoder.hidden_size, memory_size)
        self.vision_tokens = NormedLinear(config.vision.vision.hidden_size, memory_size)
        self.joint_projection = Linear(2 * width, width)
        kinds = [Kind.AUDIO_VIDEO, *([Kind.AUDIO] if sound.has_match_head else [])]
        self.match_heads = nn.ModuleDict({kind: Linear(config.text.hidden_size, 2) for kind in kinds})


class NormedLinear(nn.Module):
    """A linear layer and a norm."""

    def __init__(self, size: int, new_size: int) -> None:
        super().__init__()
        self.linear = Linear(size, new_size)
        self.norm = nn.LayerNorm(new_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(..., size) -> (..., new_size)."""
        return self.norm(self.linear(hidden_states))
