"""InternVideo2-CLIP: a video tower and a text tower whose vectors are compared (OpenGVLab/InternVideo).

Two forms, ``internvideo2_clip.py`` for the 1B and 6B, whose text tower is the LLaMA of InternVL-C, and
``internvideo2_clip_small.py`` for the distilled S, B and L, whose text tower is MobileCLIP's. Only the
attention pool, what follows it and the temperature were trained.

B clips or texts, T frames, H W pixels, N text positions, P width of the shared space.
"""

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import ConfigError
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.linear import Linear
from kinema.modules.text.clip import CLIPText, CLIPTextConfig
from kinema.modules.text.decoder_text import DecoderText
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig

TEMPERATURE = 0.01
"""Initial, and the least it may become in training."""


@dataclass(frozen=True, kw_only=True)
class InternVideo2CLIPConfig:
    """Two towers and the space they share."""

    vision: InternVideo2VisionConfig
    """Images have no positions of their own; they get the mean over time of a clip's."""
    pooled_size: int = 768
    align_size: int | None = None
    """P, where a layer leads from the pooled vector to it; None where the pooled vector is compared
    itself."""
    decoder: DecoderConfig | None = None
    """Of a text tower that is a language model."""
    text: CLIPTextConfig | None = None
    """Of a text tower as CLIP's."""

    def __post_init__(self) -> None:
        if (self.decoder is None) == (self.text is None):
            raise ConfigError("a CLIP model has one text tower: give either decoder or text.")

    @property
    def projection_size(self) -> int:
        """P."""
        return self.pooled_size if self.align_size is None else self.align_size


class Projected(NamedTuple):
    """What of a clip or text is compared."""

    projection: Tensor
    """(B, P), not of unit length."""


class InternVideo2CLIP(nn.Module):
    """A video tower, a text tower, and what makes their vectors comparable."""

    def __init__(self, config: InternVideo2CLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_encoder = InternVideo2Tower(config.vision, config.pooled_size)
        self.vision_align = None
        if config.align_size is not None:
            norm = nn.LayerNorm(config.pooled_size)
            self.vision_align = nn.Sequential(norm, Linear(config.pooled_size, config.align_size))
        self.text_encoder, text_size = _text_tower(config)
        initial = torch.randn(text_size, config.projection_size) * text_size**-0.5
        self.text_projection = nn.Parameter(initial)
        self.temperature = nn.Parameter(torch.tensor(TEMPERATURE))

    @property
    def logit_scale(self) -> Tensor:
        """Logarithm of what cosines are multiplied with before a softmax."""
        return -self.temperature.log()

    def embed_pixels(self, pixel_values: Tensor) -> Tensor:
        """Unit vectors of images or clips, (B, T, 3, H, W) to (B, P)."""
        return F.normalize(self.see(pixel_values).projection, dim=-1)

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Unit vectors of texts, (B, N) to (B, P); arguments and errors as for ``read``."""
        return F.normalize(self.read(input_ids, attention_mask).projection, dim=-1)

    def see(self, pixel_values: Tensor, keep_mask: Tensor | None = None) -> Projected:
        """Images or clips alone; arguments and errors as for ``InternVideo2Vision``."""
        pooled = self.vision_encoder(pixel_values, keep_mask).pooled
        return Projected(pooled if self.vision_align is None else self.vision_align(pooled))

    def read(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Projected:
        """Texts alone.

        Args:
            input_ids: (B, N), padded on the right.
            attention_mask: (B, N), non-zero where a token is real; a decoder takes tokens above 0 for real
                where it is None, and a tower as CLIP's needs none.
        """
        return Projected(self.text_encoder(input_ids, attention_mask) @ self.text_projection)

    def num_patches(self, pixel_values: Tensor) -> int:
        """How many patches each of these images or clips has, (B, T, 3, H, W)."""
        return prod(self.vision_encoder.encoder.grid_of(pixel_values))


def _text_tower(config: InternVideo2CLIPConfig) -> tuple[nn.Module, int]:
    """The tower and its width."""
    if config.decoder is not None:
        return DecoderText(config.decoder), config.decoder.hidden_size
    assert config.text is not None
    return CLIPText(config.text), config.text.hidden_size
