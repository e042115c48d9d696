"""The vision tower of CLIP, for images, and for clips with attention over time.

One class for every modality of LanguageBind (arXiv 2310.01852; PKU-YuanGroup/LanguageBind): image, depth
and thermal as in OpenAI's and OpenCLIP's models, audio on a grid of its own, video with a temporal block
before each layer.

B clips, T frames, C channels, H W pixels, p patch side, N tokens of a frame, D hidden size, L layers.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError, InputError, ModelWarning
from kinema.modules.encoder import Activation, PreNormLayer
from kinema.modules.linear import Linear
from kinema.modules.vision.temporal import TemporalBlock, frame_table


@dataclass(frozen=True, kw_only=True)
class CLIPVisionConfig:
    """Sizes and choices of a tower."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    image_size: tuple[int, int] = (224, 224)
    """Height and width in pixels; of a sound, mel bins and columns of time."""
    patch_size: int = 14
    activation: Activation = "gelu"
    layer_norm_eps: float = 1e-5
    num_frames: int | None = None
    """Frames of a clip that the temporal blocks have learned; None for a tower that has no such blocks."""
    has_frame_class_embeddings: bool = False
    """Whether the class token of each frame has an embedding of its own (LanguageBind_Video_V1.5)."""
    patch_dropout: float = 0.0
    """Fraction of patches left out in training; evaluation sees all."""

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads}."
            )
        if any(side < self.patch_size for side in self.image_size):
            raise ConfigError(f"image_size {self.image_size} is below patch_size {self.patch_size}.")
        if self.num_frames is not None and self.num_frames < 1:
            raise ConfigError(
                f"num_frames must be 1 or more, or None without temporal blocks: {self.num_frames}."
            )
        if self.has_frame_class_embeddings and self.num_frames is None:
            raise ConfigError("has_frame_class_embeddings needs num_frames, which says for how many.")
        if not 0 <= self.patch_dropout < 1:
            raise ConfigError(f"patch_dropout is a fraction from 0 to below 1, got {self.patch_dropout}.")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches; pixels beyond the last whole patch are not seen."""
        height, width = self.image_size
        return height // self.patch_size, width // self.patch_size

    @property
    def head_dim(self) -> int:
        """Width of one head of the attention."""
        return self.hidden_size // self.num_heads

    @property
    def num_tokens(self) -> int:
        """Of a frame: its patches and the class token before them."""
        rows, columns = self.grid
        return 1 + rows * columns


class CLIPVision(nn.Module):
    """Frames to hidden states of their patches, or to one vector a clip."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        num_classes = config.num_frames if config.has_frame_class_embeddings else None
        shape = (width,) if num_classes is None else (num_classes, width)
        self.class_embedding = nn.Parameter(torch.randn(shape) * width**-0.5)  # (D,) or (F, D)
        self.patch_embedding = Linear(3 * config.patch_size**2, width, bias=False)
        self.position_embedding = nn.Embedding(config.num_tokens, width)
        self.patch_dropout = PatchDropout(config.patch_dropout)
        self.pre_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.layers = nn.ModuleList(CLIPVisionLayer(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """One vector a clip: the class token after the final norm, averaged over frames.

        Args:
            pixel_values: (B, T, 3, H, W), normalised; T is 1 for whatever has no frames.

        Returns:
            (B, D).

        Raises:
            InputError: if the tensor has another form.
        """
        hidden_states = self.encode(pixel_values)  # (B, T, N, D)
        return self.final_norm(hidden_states[:, :, 0]).mean(1)

    def encode(self, pixel_values: Tensor, *, layer: int = -1) -> Tensor:
        """One of ``hidden_states``, by its index; layers after it are not computed.

        ``layer=-2``, which LLaVA models read, is what leaves the last layer but one.

        Raises:
            ConfigError: if there is no such layer.
            InputError: as for ``forward``.
        """
        num_states = len(self.layers) + 1
        if not -num_states <= layer < num_states:
            raise ConfigError(
                f"hidden states go from 0 to {num_states - 1}, or -{num_states} to -1; got {layer}."
            )
        return next(islice(self.hidden_states(pixel_values), layer % num_states, None))

    def hidden_states(self, pixel_values: Tensor) -> Iterator[Tensor]:
        """What enters the first layer, then what leaves each, without the final norm.

        They are computed as they are asked for; whoever stops early saves the rest.

        Args:
            pixel_values: as for ``forward``.

        Yields:
            L + 1 times (B, T, N, D), the class token first.
        """
        self._check(pixel_values)
        hidden_states = self.pre_norm(self.patch_dropout(self.embed(pixel_values)))
        yield hidden_states
        for layer in self.layers:
            hidden_states = layer(hidden_states)
            yield hidden_states

    def embed(self, pixel_values: Tensor) -> Tensor:
        """Patches, class token and positions, before the first norm: (B, T, 3, H, W) -> (B, T, N, D)."""
        batch, num_frames = pixel_values.shape[:2]
        patches = self.patch_embedding(cut_patches(pixel_values, self.config.patch_size))
        classes: Tensor = self.class_embedding
        if self.config.has_frame_class_embeddings:
            classes = frame_table(classes, num_frames)[:, None]  # (T, 1, D)
        classes = classes.expand(batch, num_frames, 1, -1)
        return torch.cat([classes, patches], dim=2) + self.position_embedding.weight

    def _check(self, pixel_values: Tensor) -> None:
        if pixel_values.ndim != 5 or pixel_values.shape[2:] != (3, *self.config.image_size):
            height, width = self.config.image_size
            raise InputError(
                f"pixel_values is {tuple(pixel_values.shape)}; this tower takes (clips, frames, 3, {height}, "
                f"{width}). A single image is a clip of one frame."
            )
        num_frames, learned = pixel_values.shape[1], self.config.num_frames
        if num_frames == 0:
            raise InputError("pixel_values holds clips without frames; each needs at least one.")
        if learned is not None and num_frames != learned:
            rule = "gets no frame embedding" if num_frames == 1 else "gets interpolated frame embeddings"
            warnings.warn(
                f"The vision tower learned clips of {learned} frames; one of {num_frames} {rule}, so its "
                "features differ from those of training.",
                ModelWarning,
                stacklevel=3,
            )


class CLIPVisionLayer(nn.Module):
    """Attention over time where the tower has it, then attention and MLP inside each frame."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        width, num_heads, eps = config.hidden_size, config.num_heads, config.layer_norm_eps
        self.temporal = None
        if config.num_frames is not None:
            self.temporal = TemporalBlock(width, num_heads, config.num_frames, eps)
        self.spatial = PreNormLayer(width, config.intermediate_size, num_heads, config.activation, eps)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, T, N, D) -> (B, T, N, D)."""
        if self.temporal is not None:
            hidden_states = self.temporal(hidden_states)
        clips = hidden_states.shape[:2]
        return self.spatial(hidden_states.flatten(0, 1)).unflatten(0, clips)


class PatchDropout(nn.Module):
    """Leave out a fraction of the patches in training (arXiv 2212.00794), the same of all frames of a clip.

    The class token stays. Which are left out is drawn from torch's own generator, as dropout is.
    """

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self.fraction = fraction

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, T, N, D) -> (B, T, N', D) in training, all as it was in evaluation."""
        if not self.training or self.fraction == 0:
            return hidden_states
        batch, num_frames, num_tokens, width = hidden_states.shape
        num_kept = max(1, int((num_tokens - 1) * (1 - self.fraction)))
        order = torch.rand(batch, num_tokens - 1, device=hidden_states.device).argsort(-1)  # (B, N - 1)
        kept = 1 + order[:, :num_kept]
        kept = torch.cat([kept.new_zeros(batch, 1), kept], dim=1)  # (B, N')
        return hidden_states.gather(2, kept[:, None, :, None].expand(-1, num_frames, -1, width))


def cut_patches(pixel_values: Tensor, patch_size: int) -> Tensor:
    """Square patches of frames, in raster order, each as a convolution's weight lays it out.

    Args:
        pixel_values: (B, T, C, H, W).
        patch_size: p.

    Returns:
        (B, T, H/p·W/p, C·p·p); pixels beyond the last whole patch are left out, as a convolution does.
    """
    height, width = (side - side % patch_size for side in pixel_values.shape[-2:])
    whole = pixel_values[..., :height, :width]
    cells = whole.unflatten(-1, (-1, patch_size)).unflatten(-3, (-1, patch_size))  # (B, T, C, H/p, p, W/p, p)
    return cells.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(2, 3)
