"""The encoder with decoders that predict teachers' features (InternVideo2, arXiv 2403.15377, 3.1).

Three checkpoints have this form: stage 1 (``internvideo2_pretrain.py`` of OpenGVLab/InternVideo), the vision
part of stage 2, which keeps the decoders though it does not train them, and the small models distilled from
the 1B.

B clips, N tokens, K layers, D_t width of a teacher.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import ConfigError
from kinema.modules.vision.feature_decoder import DecoderForm, FeatureDecoder
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig, kept_tokens
from kinema.modules.vision.space_time_table import SpaceTimeTable


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """A tower, and the widths that its decoders lead to."""

    vision: InternVideo2VisionConfig
    pooled_size: int = 768
    clip_layers: int = 6
    """Last layers whose tokens are compared with the CLIP teacher's."""
    clip_size: int = 3200
    """Width of that teacher's tokens."""
    clip_pooled_size: int = 768
    """Width of its pooled vector."""
    clip_decoder: DecoderForm = "linear"
    mae_layers: int = 4
    """Last layers whose tokens are compared with the MAE teacher's; 0 where there is none."""
    mae_size: int = 1408
    """Width of that teacher's tokens."""

    def __post_init__(self) -> None:
        layers = self.vision.num_layers
        if not 1 <= self.clip_layers <= layers or not 0 <= self.mae_layers <= layers:
            raise ConfigError(
                f"clip_layers {self.clip_layers} and mae_layers {self.mae_layers} must be among the "
                f"{layers} layers."
            )


class StudentFeatures(NamedTuple):
    """Predictions of teachers' features, all unit vectors. The layers ascend."""

    clip: Tensor
    """(K, B, N, D_t), the class token first."""
    clip_pooled: Tensor
    """(B, D_t)."""
    mae: Tensor | None
    """(K, B, N - 1, D_t), without the class token; None without such decoders."""


class InternVideo2Student(nn.Module):
    """A tower, and a decoder for each layer that is compared."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        vision, width = config.vision, config.vision.hidden_size
        self.vision_encoder = InternVideo2Tower(vision, config.pooled_size)
        self.clip_positions = SpaceTimeTable(width, vision.grid, has_image_table=vision.has_image_table)
        self.clip_decoders = nn.ModuleList(
            FeatureDecoder(width, config.clip_size, config.clip_decoder) for _ in range(config.clip_layers)
        )
        self.clip_pooled_decoder = FeatureDecoder(
            config.pooled_size, config.clip_pooled_size, config.clip_decoder
        )
        self.mae_positions = None
        if config.mae_layers:
            self.mae_positions = SpaceTimeTable(width, vision.grid, has_class_row=False)
        self.mae_decoders = nn.ModuleList(
            FeatureDecoder(width, config.mae_size, "mlp") for _ in range(config.mae_layers)
        )

    def forward(self, pixel_values: Tensor, keep_mask: Tensor | None = None) -> StudentFeatures:
        """Predictions at the tokens that are kept; arguments and errors as for ``InternVideo2Vision``."""
        tower, grid = self.vision_encoder, self.vision_encoder.encoder.grid_of(pixel_values)
        num_states = max(self.config.clip_layers, self.config.mae_layers)
        states = list(deque(tower.encoder.hidden_states(pixel_values, keep_mask), maxlen=num_states))
        clip = [
            state + _kept(self.clip_positions(grid), keep_mask)
            for state in states[-self.config.clip_layers :]
        ]
        mae = None
        if self.mae_positions is not None:
            positions = _kept(self.mae_positions(grid), keep_mask)
            last = states[-self.config.mae_layers :]
            mae = _decode(self.mae_decoders, [state[:, 1:] + positions for state in last])
        return StudentFeatures(
            clip=_decode(self.clip_decoders, clip),
            clip_pooled=self.clip_pooled_decoder(tower.pool(states[-1])),
            mae=mae,
        )

    def resize_positions(self, *, num_frames: int, image_size: int) -> None:
        """Store interpolated positions, the decoders' too; see ``InternVideo2Vision.resize_positions``."""
        encoder = self.vision_encoder.encoder
        encoder.resize_positions(num_frames=num_frames, image_size=image_size)
        for table in (self.clip_positions, self.mae_positions):
            if table is not None:
                table.resize(encoder.config.grid)
        self.config = replace(self.config, vision=encoder.config)


def _decode(decoders: Iterable[nn.Module], states: Iterable[Tensor]) -> Tensor:
    return torch.stack([decoder(state) for decoder, state in zip(decoders, states, strict=True)])


def _kept(positions: Tensor, keep_mask: Tensor | None) -> Tensor:
    """Rows of a table at the kept tokens, (B, N, D); a table without a class row leaves that token out."""
    if keep_mask is None:
        return positions
    kept = kept_tokens(keep_mask, *keep_mask.shape)
    if len(positions) < keep_mask.shape[1]:
        kept = kept[:, 1:] - 1
    return F.embedding(kept, positions)
