"""LanguageBind (arXiv 2310.01852): one modality and text, each to a unit vector of one space.

B clips, T frames, H W pixels, N text positions, P width of the shared space.
"""

from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.models.languagebind.config import LanguageBindConfig
from kinema.modules.linear import Linear
from kinema.modules.text.clip import CLIPText
from kinema.modules.vision.clip import CLIPVision

INITIAL_TEMPERATURE = 0.07


class LanguageBind(nn.Module):
    """A CLIP tower for what is seen or heard, a CLIP tower for text, and a projection behind each."""

    def __init__(self, config: LanguageBindConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_encoder = CLIPVision(config.vision)
        self.text_encoder = CLIPText(config.text)
        self.visual_projection = Linear(config.vision.hidden_size, config.projection_size, bias=False)
        self.text_projection = Linear(config.text.hidden_size, config.projection_size, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(log(1 / INITIAL_TEMPERATURE)))

    def forward(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Logits of every clip for every text, (B, B_text)."""
        return self.logits(self.embed_pixels(pixel_values), self.embed_text(input_ids, attention_mask))

    def embed_pixels(self, pixel_values: Tensor) -> Tensor:
        """Unit vectors of images, clips, spectrograms, depth or heat maps.

        Args:
            pixel_values: (B, T, 3, H, W), as the checkpoint's processor makes them; T is 1 but for video.

        Returns:
            (B, P).

        Raises:
            InputError: if the tensor has another form.
        """
        return F.normalize(self.visual_projection(self.vision_encoder(pixel_values)), dim=-1)

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Unit vectors of texts.

        Args:
            input_ids: (B, N), padded on the right; each text ends with the largest id of the vocabulary.
            attention_mask: (B, N), non-zero where a token is real; it changes nothing, see ``CLIPText``.

        Returns:
            (B, P).

        Raises:
            InputError: if a text has more tokens than the tower has positions.
        """
        return F.normalize(self.text_projection(self.text_encoder(input_ids, attention_mask)), dim=-1)

    def logits(self, pixel_embeddings: Tensor, text_embeddings: Tensor) -> Tensor:
        """Cosines over the learned temperature; a softmax over texts classifies.

        Args:
            pixel_embeddings: (B, P), unit vectors.
            text_embeddings: (B_text, P), unit vectors.

        Returns:
            (B, B_text).
        """
        return self.logit_scale.exp() * pixel_embeddings @ text_embeddings.T
