"""How VideoMAE learns: the pixels of hidden tubelets, from the ones that are seen (arXiv 2203.12602).

Tubes are hidden: a place is hidden in all frames, or in none. The encoder sees what is left; a small decoder
gets that, marks in the place of the rest, and positions.

B clips, T frames, n patches of a frame, N tubelets, M of them seen, D and D' widths of encoder and decoder.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import ConfigError
from kinema.modules.linear import Linear
from kinema.modules.vision.videomae import (
    LAYER_NORM_EPS,
    TUBELET_SIZE,
    VideoMAE,
    VideoMAEConfig,
    VideoMAELayer,
    sinusoid_table,
)


@dataclass(frozen=True, kw_only=True)
class MaskedPixelsConfig:
    """The decoder, and how much is hidden."""

    decoder: VideoMAEConfig
    """Its patch size is the encoder's."""
    mask_ratio: float = 0.9
    """Of the places, rounded down."""

    def __post_init__(self) -> None:
        if not 0 < self.mask_ratio < 1:
            raise ConfigError(f"mask_ratio is a share above 0 and below 1, got {self.mask_ratio}.")


class MaskedPixels(nn.Module):
    """An encoder, and the decoder that its training needs and nothing after it.

    Pixels are predicted as they are. VideoMAE norms each tubelet first; where most of them show a plain
    background, that would make their noise the target.
    """

    def __init__(self, encoder: VideoMAE, config: MaskedPixelsConfig) -> None:
        super().__init__()
        decoder = config.decoder
        self.config, self.encoder = config, encoder
        self.narrow = Linear(encoder.config.hidden_size, decoder.hidden_size, bias=False)
        self.mark = nn.Parameter(0.02 * torch.randn(decoder.hidden_size))
        self.layers = nn.ModuleList(VideoMAELayer(decoder) for _ in range(decoder.num_layers))
        self.norm = nn.LayerNorm(decoder.hidden_size, eps=LAYER_NORM_EPS)
        self.head = Linear(decoder.hidden_size, 3 * TUBELET_SIZE * decoder.patch_size**2)

    def forward(self, pixel_values: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mean squared error at hidden tubelets, float32.

        Args:
            pixel_values: (B, T, 3, H, W), normalised; T is even.
            generator: draws what is hidden, on the CPU; None for torch's own.
        """
        pixels = self.encoder.tubelets(pixel_values)  # (B, N, 3·2·p·p)
        order, num_seen = self._draw(pixel_values, generator)
        seen = next(self.encoder.hidden_states(pixel_values)).take_along_dim(order[:, :num_seen, None], 1)
        for layer in self.encoder.layers:
            seen = layer(seen)
        known = self.narrow(self.encoder.final_norm(seen))  # (B, M, D')
        marks = self.mark.to(known.dtype).expand(len(known), order.shape[1] - num_seen, -1)
        positions = sinusoid_table(order.shape[1], known.shape[-1], device=known.device)
        states = torch.cat([known, marks], dim=1) + F.embedding(order, positions)
        for layer in self.layers:
            states = layer(states)
        guessed = self.head(self.norm(states[:, num_seen:]))
        return F.mse_loss(guessed.float(), pixels.take_along_dim(order[:, num_seen:, None], 1))

    def _draw(self, pixel_values: Tensor, generator: torch.Generator | None) -> tuple[Tensor, int]:
        """Numbers of all tubelets, (B, N), those that are seen first; and how many they are."""
        batch, num_frames, _, height, width = pixel_values.shape
        num_places = (height // self.config.decoder.patch_size) * (width // self.config.decoder.patch_size)
        num_seen = num_places - int(num_places * self.config.mask_ratio)
        places = torch.rand(batch, num_places, generator=generator).argsort(-1).to(pixel_values.device)
        starts = torch.arange(0, num_frames // TUBELET_SIZE * num_places, num_places, device=places.device)
        seen, hidden = places[:, :num_seen], places[:, num_seen:]
        rows = [(starts[:, None] + part[:, None]).flatten(1) for part in (seen, hidden)]
        return torch.cat(rows, dim=1), rows[0].shape[1]
