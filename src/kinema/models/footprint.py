"""What layers of models hold while they work: numbers for each token, from which bytes are forecast.

Counted where the code stands, in ``modules.language.decoder`` and in ``modules.vision.navit``; other encoders
are built alike. A moment is a list of blocks that are alive together.
"""

from collections.abc import Sequence
from typing import Protocol

from kinema.modules.language.decoder import DecoderConfig


class LayerSizes(Protocol):
    """A layer of an encoder, as far as its memory goes."""

    @property
    def hidden_size(self) -> int:
        """Width of a token between layers."""
        ...

    @property
    def intermediate_size(self) -> int:
        """Width of a token inside the MLP."""
        ...


def encoder_moments(sizes: LayerSizes, num_tokens: int) -> list[list[int]]:
    """Numbers in the blocks of attention, and in those of the MLP, while a layer works."""
    width, inner = num_tokens * sizes.hidden_size, num_tokens * sizes.intermediate_size
    return [[3 * width, *[width] * 7], [*[width] * 3, inner, inner]]


def decoder_moments(config: DecoderConfig, num_tokens: int) -> list[list[int]]:
    """The same of a decoder; attention without a mask."""
    width, inner = num_tokens * config.hidden_size, num_tokens * config.intermediate_size
    heads = num_tokens * (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
    return [[*[width] * 3, *[heads] * 3], [*[width] * 3, *[inner] * 4]]


def fullest(moments: Sequence[Sequence[int]]) -> int:
    """Numbers at the moment that has most."""
    return max(map(sum, moments))
