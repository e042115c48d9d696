"""BEATs (arXiv 2212.09058): a transformer over square patches of a filter bank.

As published in microsoft/unilm, in the one form its checkpoints have: norms behind the residual sums, which
carry DeepNorm's scale; positions by a convolution, and by distances in steps that one table holds for all
layers and that each layer gates by what a token says (WavLM, arXiv 2110.13900).

B sounds, L frames of 10 ms, M mel bins, p patch side, N tokens, D hidden size, A heads, d head size.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import ConfigError, InputError
from kinema.modules.attention import attention
from kinema.modules.encoder import MLP
from kinema.modules.linear import Linear


@dataclass(frozen=True, kw_only=True)
class BEATsConfig:
    """Sizes of an encoder; the defaults are those of all published ones."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_layers: int = 12
    num_heads: int = 12
    patch_size: int = 16
    patch_embedding_size: int = 512
    position_kernel: int = 128
    """Tokens that the positional convolution reaches over."""
    position_groups: int = 16
    num_buckets: int = 320
    """Steps that distances are sorted into, half of them for what comes before."""
    max_distance: int = 800
    """From here on all distances are one step."""
    layer_norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads or self.hidden_size % self.position_groups:
            raise ConfigError(
                f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads} and of "
                f"position_groups {self.position_groups}."
            )

    @property
    def head_dim(self) -> int:
        """d, the width of one head."""
        return self.hidden_size // self.num_heads

    @property
    def residual_scale(self) -> float:
        """DeepNorm's factor of what a layer's parts are added to (arXiv 2203.00555)."""
        return (2 * self.num_layers) ** 0.25

    def position_moments(self, num_tokens: int, tokens_each: int) -> list[list[int]]:
        """What positions take, for a forecast of memory: the convolution, then the attention of a layer.

        The convolution's weight is put together and laid out anew for the kernel, as are the padded states.
        Attention holds distances for each pair of tokens of a sound, and gates them for each sound.

        Args:
            num_tokens: of all sounds that are heard at once.
            tokens_each: of one of them.

        Returns:
            For both moments, the numbers in each block that is alive then.
        """
        width = num_tokens * self.hidden_size
        weight = self.hidden_size * (self.hidden_size // self.position_groups) * self.position_kernel
        padded = width + num_tokens // tokens_each * (self.position_kernel - 1) * self.hidden_size
        distances, gated = (self.num_heads * tokens_each * count for count in (tokens_each, num_tokens))
        return [
            [width, weight, padded, padded, weight, width],
            [width, distances, 3 * width, gated, width, width, width],
        ]


class BEATs(nn.Module):
    """Filter banks to hidden states of their patches: time after time, in each from the lowest bins up."""

    def __init__(self, config: BEATsConfig) -> None:
        super().__init__()
        self.config = config
        width, eps = config.hidden_size, config.layer_norm_eps
        self.patch_embedding = Linear(config.patch_size**2, config.patch_embedding_size, bias=False)
        self.patch_norm = nn.LayerNorm(config.patch_embedding_size, eps=eps)
        self.patch_projection = Linear(config.patch_embedding_size, width)
        self.position = PositionalConvolution(width, config.position_kernel, config.position_groups)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.distance_bias = nn.Embedding(config.num_buckets, config.num_heads)
        self.layers = nn.ModuleList(BEATsLayer(config) for _ in range(config.num_layers))

    def forward(self, features: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """What leaves the last layer.

        Args:
            features: (B, L, M), as ``beats_features`` makes them.
            padding_mask: (B, N) bool, True at tokens that are not looked at; see ``token_padding``.

        Returns:
            (B, N, D), N = L//p · M//p: what is beyond the last whole patch is not heard.

        Raises:
            InputError: if the features have another form, or no whole patch.
        """
        states = self.hidden_states(features, padding_mask)
        return deque(states, maxlen=1).pop()  # those before it are let go on the way

    def hidden_states(self, features: Tensor, padding_mask: Tensor | None = None) -> Iterator[Tensor]:
        """What enters the first layer, then what leaves each; arguments and errors as for ``forward``.

        Yields:
            (B, N, D), one more than there are layers.
        """
        hidden_states = self.patch_projection(self.embed(features))
        if padding_mask is not None:
            hidden_states = hidden_states.masked_fill(padding_mask[..., None], 0)
        hidden_states = self.norm(hidden_states + self.position(hidden_states))
        bias = self._distance_bias(hidden_states.shape[1])
        yield hidden_states
        for layer in self.layers:
            hidden_states = layer(hidden_states, bias, padding_mask)
            yield hidden_states

    def embed(self, features: Tensor) -> Tensor:
        """Normalised embeddings of the patches alone: (B, L, M) -> (B, N, patch_embedding_size)."""
        side = self.config.patch_size
        if features.ndim != 3 or min(features.shape[1:]) < side:
            raise InputError(
                f"features is {tuple(features.shape)}; BEATs takes (sounds, frames, mel bins), of the last "
                f"two at least {side} each."
            )
        rows, columns = (length - length % side for length in features.shape[1:])
        cells = features[:, :rows, :columns].unflatten(2, (-1, side)).unflatten(1, (-1, side))
        patches = cells.transpose(2, 3).flatten(3).flatten(1, 2)  # (B, L/p, p, M/p, p) -> (B, N, p·p)
        return self.patch_norm(self.patch_embedding(patches))

    def _distance_bias(self, num_tokens: int) -> Tensor:
        """(A, N, N): row i is what token i has for each of the others."""
        places = torch.arange(num_tokens, device=self.distance_bias.weight.device)
        buckets = distance_buckets(
            places - places[:, None], self.config.num_buckets, self.config.max_distance
        )
        return self.distance_bias(buckets).permute(2, 0, 1)


class PositionalConvolution(nn.Module):
    """A grouped convolution over tokens, whose weight is a direction for each tap and its length."""

    def __init__(self, hidden_size: int, kernel_size: int, groups: int) -> None:
        super().__init__()
        self.kernel_size, self.groups = kernel_size, groups
        deviation = math.sqrt(4 / (kernel_size * hidden_size))
        direction = torch.randn(hidden_size, hidden_size // groups, kernel_size) * deviation
        self.direction = nn.Parameter(direction)
        self.length = nn.Parameter(direction.norm(dim=(0, 1), keepdim=True))  # (1, 1, kernel)
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        weight = self.direction * (self.length / self.direction.norm(dim=(0, 1), keepdim=True))
        left = self.kernel_size // 2
        padded = F.pad(hidden_states.transpose(1, 2), (left, self.kernel_size - 1 - left))
        return F.gelu(F.conv1d(padded, weight, self.bias, groups=self.groups)).transpose(1, 2)


class BEATsLayer(nn.Module):
    """Attention and MLP, each added to what came in, times a factor, before a norm."""

    def __init__(self, config: BEATsConfig) -> None:
        super().__init__()
        self.residual_scale = config.residual_scale
        self.attention = GatedBiasAttention(config.hidden_size, config.num_heads)
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = MLP(config.hidden_size, config.intermediate_size, "gelu")
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states: Tensor, bias: Tensor, padding_mask: Tensor | None) -> Tensor:
        """(B, N, D), (A, N, N), (B, N) -> (B, N, D)."""
        attended = self.attention(hidden_states, bias, padding_mask)
        hidden_states = self.norm1(self.residual_scale * hidden_states + attended)
        return self.norm2(self.residual_scale * hidden_states + self.mlp(hidden_states))


class GatedBiasAttention(nn.Module):
    """Multi-head attention to which distances are added, as far as each token lets them."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = Linear(hidden_size, 3 * hidden_size)
        self.out = Linear(hidden_size, hidden_size)
        self.gate = Linear(hidden_size // num_heads, 8)
        self.gate_scale = nn.Parameter(torch.ones(1, num_heads, 1, 1))

    def forward(self, hidden_states: Tensor, bias: Tensor, padding_mask: Tensor | None) -> Tensor:
        """(B, N, D), (A, N, N), (B, N) -> (B, N, D)."""
        qkv = self.qkv(hidden_states).unflatten(-1, (3, self.num_heads, -1))  # (B, N, 3, A, d)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (B, A, N, d) each
        added = self._gates(query) * bias  # (B, A, N, N)
        if padding_mask is not None:
            added = added.masked_fill(padding_mask[:, None, None], -math.inf)
        attended = attention(query, key, value, mask=added.to(query.dtype))
        return self.out(attended.transpose(1, 2).flatten(2))

    def _gates(self, query: Tensor) -> Tensor:
        """How far distances count for each token: (B, A, N, d) -> (B, A, N, 1)."""
        update, reset = self.gate(query).unflatten(-1, (2, 4)).sum(-1).sigmoid().chunk(2, dim=-1)
        return update * (reset * self.gate_scale - 1) + 2


def distance_buckets(distances: Tensor, num_buckets: int, max_distance: int) -> Tensor:
    """The step of each signed distance (T5, arXiv 1910.10683): single near by, logarithmic further off.

    Args:
        distances: (...) int64, positive for what comes after.
        num_buckets: how many there are; the second half is for what comes after.
        max_distance: all from here on are the last one of their half.

    Returns:
        (...) int64, 0 to num_buckets - 1.
    """
    per_side = num_buckets // 2
    num_single = per_side // 2
    far = distances.abs()
    growth = torch.log(far.clamp(min=1).float() / num_single) / math.log(max_distance / num_single)
    logarithmic = num_single + (growth * (per_side - num_single)).long()
    steps = torch.where(far < num_single, far, logarithmic.clamp(max=per_side - 1))
    return steps + per_side * (distances > 0)


def token_padding(waveform_padding: Tensor, num_frames: int, num_tokens: int) -> Tensor:
    """Which tokens are padding, as microsoft/unilm takes it from a mask over samples.

    A mask is cut into equal parts, first one a frame, then one a token, and a part is padding where all of it
    is. Tokens of one time but of other bins so get parts that follow one another: where padding begins, the
    last tokens are a rough guess. InternVideo2 uses no such mask.

    Args:
        waveform_padding: (B, N_samples) bool, True at padding.
        num_frames: L, of the filter bank.
        num_tokens: N.

    Returns:
        (B, N) bool.
    """
    mask = waveform_padding
    for count in (num_frames, num_tokens):
        length = mask.shape[1] // count
        mask = mask[:, : length * count].unflatten(1, (count, length)).all(-1)
    return mask
