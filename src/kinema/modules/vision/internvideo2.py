"""The video encoder of InternVideo2 (arXiv 2403.15377, 3; OpenGVLab/InternVideo, ``internvideo2.py``).

A ViT with joint attention over space and time. Clips of any length and size go through it, one after
another or packed together, because positions are interpolated; patches that are masked never enter a layer.

B clips, T frames, H W pixels, p patch side, N tokens of a clip, D hidden size, L layers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import ConfigError, InputError
from kinema.modules.linear import Linear
from kinema.modules.vision.attention_pool import AttentionPool
from kinema.modules.vision.clip import cut_patches
from kinema.modules.vision.space_time_block import SpaceTimeBlock
from kinema.modules.vision.space_time_table import Grid, SpaceTimeTable


@dataclass(frozen=True, kw_only=True)
class InternVideo2VisionConfig:
    """Sizes and choices of an encoder."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_frames: int = 8
    """Frames of the position table; clips of another length get interpolated positions."""
    image_size: int = 224
    """Height and width of the position table, in pixels."""
    patch_size: int = 14
    has_image_table: bool = False
    """Whether single images have positions of their own; else theirs are the mean over time of a clip's."""
    layer_scale: float = 1e-5
    """What the scales of residuals start from."""
    drop_path: float = 0.0
    """How often, in training, the last layer's branches are left out; the first layer's never, linearly."""

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads or self.hidden_size % 16:
            raise ConfigError(
                f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads} and of 16."
            )
        if self.image_size % self.patch_size or self.image_size < self.patch_size:
            raise ConfigError(
                f"image_size {self.image_size} must be a multiple of patch_size {self.patch_size}."
            )
        if self.num_frames < 1 or self.num_layers < 1:
            raise ConfigError(
                f"num_frames {self.num_frames} and num_layers {self.num_layers} must be 1 or more."
            )
        if not 0 <= self.drop_path < 1:
            raise ConfigError(f"drop_path is a fraction from 0 to below 1, got {self.drop_path}.")

    @property
    def head_dim(self) -> int:
        """Width of one head of the attention."""
        return self.hidden_size // self.num_heads

    @property
    def grid(self) -> Grid:
        """Patches of a clip as the position table has them."""
        side = self.image_size // self.patch_size
        return Grid(self.num_frames, side, side)


class InternVideo2Vision(nn.Module):
    """Frames to hidden states of a class token and their patches. There is no norm after the last layer."""

    def __init__(self, config: InternVideo2VisionConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.class_token = nn.Parameter(0.02 * torch.randn(width))
        self.patch_embedding = Linear(3 * config.patch_size**2, width)
        self.positions = SpaceTimeTable(width, config.grid, has_image_table=config.has_image_table)
        rates = torch.linspace(0, config.drop_path, config.num_layers, device="cpu").tolist()
        self.layers = nn.ModuleList(
            SpaceTimeBlock(
                width,
                config.intermediate_size,
                config.num_heads,
                layer_scale=config.layer_scale,
                drop_path=rate,
            )
            for rate in rates
        )

    def forward(self, pixel_values: Tensor, keep_mask: Tensor | None = None) -> Tensor:
        """What leaves the last layer.

        Args:
            pixel_values: (B, T, 3, H, W), normalised; T of 1 is a single image.
            keep_mask: (B, 1 + T·n) bool, True where a token goes in; the class token, which is first, always
                does, and every clip keeps equally many. None keeps all.

        Returns:
            (B, N, D), N tokens that were kept.

        Raises:
            InputError: if the pixels or the mask have another form.
        """
        return self.encode(pixel_values, keep_mask)

    def encode(self, pixel_values: Tensor, keep_mask: Tensor | None = None, *, layer: int = -1) -> Tensor:
        """One of ``hidden_states``, by its index; layers after it are not computed.

        ``layer=-2``, which the chat model reads, is what leaves the last layer but one.

        Raises:
            ConfigError: if there is no such layer.
            InputError: as for ``forward``.
        """
        return next(islice(self.hidden_states(pixel_values, keep_mask), self._index(layer), None))

    def hidden_states(self, pixel_values: Tensor, keep_mask: Tensor | None = None) -> Iterator[Tensor]:
        """What enters the first layer, then what leaves each; arguments and errors as for ``forward``.

        They are computed as they are asked for; whoever stops early saves the rest.

        Yields:
            L + 1 times (B, N, D).
        """
        embedded = self.embed(pixel_values, keep_mask)
        batch, num_tokens, _ = embedded.shape
        for packed in self._packed_states(embedded.flatten(0, 1), [num_tokens] * batch):
            yield packed.unflatten(0, (batch, num_tokens))

    def encode_clips(self, clips: Sequence[Tensor], *, layer: int = -1) -> list[Tensor]:
        """Hidden states of clips of different lengths and sizes, packed into one sequence.

        Args:
            clips: (T, 3, H, W) each, normalised.
            layer: as for ``encode``.

        Returns:
            (N, D) for each.

        Raises:
            ConfigError: if there is no such layer.
            InputError: if there are no clips, or one has another form.
        """
        if not clips:
            raise InputError("there are no clips to encode; give at least one.")
        embedded = [self.embed(clip[None])[0] for clip in clips]
        lengths = [len(tokens) for tokens in embedded]
        states = self._packed_states(torch.cat(embedded), lengths)
        return list(next(islice(states, self._index(layer), None)).split(lengths))

    def embed(self, pixel_values: Tensor, keep_mask: Tensor | None = None) -> Tensor:
        """Class token and patches with their positions: arguments, result and errors as for ``forward``."""
        positions = self.positions(self.grid_of(pixel_values))
        patches = cut_patches(pixel_values, self.config.patch_size).flatten(1, 2)  # (B, T·n, 3·p·p)
        if keep_mask is not None:
            kept = kept_tokens(keep_mask, len(pixel_values), len(positions))
            positions = F.embedding(kept, positions)  # (B, N, D)
            patches = patches.take_along_dim(kept[:, 1:, None] - 1, dim=1)
        classes = self.class_token.expand(len(patches), 1, -1)
        return torch.cat([classes, self.patch_embedding(patches)], dim=1) + positions

    def grid_of(self, pixel_values: Tensor) -> Grid:
        """Patches of each of these clips.

        Raises:
            InputError: if the tensor does not hold clips.
        """
        patch = self.config.patch_size
        shape = tuple(pixel_values.shape)
        if len(shape) != 5 or shape[2] != 3 or 0 in shape or shape[3] % patch or shape[4] % patch:
            raise InputError(
                f"pixel_values is {shape}; this encoder takes (clips, frames, 3, height, width), none of "
                f"them 0, with sides that {patch} divides. A single image is a clip of one frame."
            )
        return Grid(shape[1], shape[3] // patch, shape[4] // patch)

    def resize_positions(self, *, num_frames: int, image_size: int) -> None:
        """Store interpolated positions in place of the learned ones, as a longer fine-tuning starts from.

        To read a clip of another length or size it is not needed.
        """
        self.config = replace(self.config, num_frames=num_frames, image_size=image_size)
        self.positions.resize(self.config.grid)

    def _packed_states(self, hidden_states: Tensor, lengths: Sequence[int]) -> Iterator[Tensor]:
        yield hidden_states  # (P, D)
        for layer in self.layers:
            hidden_states = layer(hidden_states, lengths)
            yield hidden_states

    def _index(self, layer: int) -> int:
        num_states = len(self.layers) + 1
        if not -num_states <= layer < num_states:
            raise ConfigError(
                f"hidden states go from 0 to {num_states - 1}, or -{num_states} to -1; got {layer}."
            )
        return layer % num_states


class VisionFeatures(NamedTuple):
    """What a tower makes of clips."""

    tokens: Tensor
    """(B, N, D), the class token first."""
    pooled: Tensor
    """(B, pooled size)."""


class InternVideo2Tower(nn.Module):
    """The encoder and the attention pool behind it."""

    def __init__(self, config: InternVideo2VisionConfig, pooled_size: int = 768) -> None:
        super().__init__()
        self.encoder = InternVideo2Vision(config)
        self.pool = AttentionPool(config.hidden_size, pooled_size)

    def forward(self, pixel_values: Tensor, keep_mask: Tensor | None = None) -> VisionFeatures:
        """Tokens and one vector a clip; arguments and errors as for ``InternVideo2Vision``."""
        tokens = self.encoder(pixel_values, keep_mask)
        return VisionFeatures(tokens, self.pool(tokens))

    def embed_clips(self, clips: Sequence[Tensor]) -> Tensor:
        """One vector each of clips of different lengths and sizes, (clips, pooled size).

        Arguments and errors as for ``InternVideo2Vision.encode_clips``.
        """
        return torch.cat([self.pool(tokens[None]) for tokens in self.encoder.encode_clips(clips)])


def kept_tokens(keep_mask: Tensor, batch: int, num_tokens: int) -> Tensor:
    """Where the kept tokens of each clip stand, (B, N) int64 in ascending order.

    Raises:
        InputError: if the mask is of other clips, drops a class token, or keeps more of one clip than of
            another.
    """
    if keep_mask.shape != (batch, num_tokens) or keep_mask.dtype != torch.bool:
        raise InputError(
            f"keep_mask is {tuple(keep_mask.shape)} of {keep_mask.dtype}; these clips take "
            f"({batch}, {num_tokens}) bool, the class token first."
        )
    counts = keep_mask.sum(1)
    if not bool(keep_mask[:, 0].all()) or bool((counts != counts[0]).any()):
        raise InputError(
            "keep_mask must keep the class token and equally many tokens of each clip; it keeps "
            f"{counts.tolist()}."
        )
    return keep_mask.nonzero()[:, 1].unflatten(0, (batch, -1))
