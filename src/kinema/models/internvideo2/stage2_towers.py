"""A model of stage 2 in the place of a tower for one kind of media, for whoever embeds media of that kind.

For images and clips the model itself does; these are its ears, and both together.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor
from torch.nn import Parameter

from kinema.models.internvideo2.stage2 import InternVideo2Stage2


@dataclass(frozen=True)
class _Tower:
    """What is the model's own whatever the media."""

    model: InternVideo2Stage2

    @property
    def logit_scale(self) -> Tensor:
        """Logarithm of what cosines are multiplied with before a softmax."""
        return self.model.logit_scale

    def parameters(self) -> Iterator[Parameter]:
        """All weights."""
        return self.model.parameters()

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Unit vectors of texts, (B, N) to (B, P)."""
        return self.model.embed_text(input_ids, attention_mask)


class SoundTower(_Tower):
    """Sound, and text."""

    def embed_pixels(self, audio_features: Tensor) -> Tensor:
        """Unit vectors of sounds, (B, L, mel bins) to (B, P)."""
        return self.model.embed_audio(audio_features)

    def match_pixels(self, audio_features: Tensor, input_ids: Tensor) -> Tensor:
        """How well one text, (1, N), belongs to each of some sounds, (B, L, mel bins): (B,) logits."""
        return self.model.match_one(self.model.hear(audio_features), input_ids)


class FilmTower(_Tower):
    """Clips with their sound, and text."""

    def embed_pixels(self, pixel_values: Tensor, audio_features: Tensor) -> Tensor:
        """Unit vectors of clips, (B, T, 3, H, W), with their sound, (B, L, mel bins), to (B, P)."""
        return self.model.embed_audio_video(pixel_values, audio_features)

    def match_pixels(self, pixel_values: Tensor, audio_features: Tensor, input_ids: Tensor) -> Tensor:
        """How well one text, (1, N), belongs to each of some clips with their sound: (B,) logits."""
        film = self.model.join(self.model.see(pixel_values), self.model.hear(audio_features))
        return self.model.match_one(film, input_ids)
