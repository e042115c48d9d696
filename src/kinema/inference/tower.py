"""A network that embeds one kind of media beside text, and the processor that belongs to it.

B files or texts, N text positions, P width of the space.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from kinema.processors.clip_text import TextInputs

_TEXT_BATCH_SIZE = 256


class EmbeddingNetwork(Protocol):
    """Puts media of one kind, and text, into one space."""

    @property
    def logit_scale(self) -> Tensor:
        """Logarithm of what cosines are multiplied with before a softmax."""
        ...

    def parameters(self) -> Iterator[Parameter]:
        """The weights, as every ``nn.Module`` gives them."""
        ...

    def embed_pixels(self, pixel_values: Tensor) -> Tensor:
        """Unit vectors of media, (B, ...) to (B, P)."""
        ...

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Unit vectors of texts, (B, N) to (B, P)."""
        ...


class EmbeddingProcessor(Protocol):
    """Turns media of one kind into pixels, and texts into tokens."""

    @property
    def modality(self) -> str:
        """The kind, such as ``video``."""
        ...

    @property
    def published(self) -> Mapping[str, str]:
        """A released checkpoint for every kind of media that this space knows."""
        ...

    def pixels(self, media: Any) -> Tensor:
        """What the network sees of one file."""
        ...

    def texts(self, texts: Sequence[str]) -> TextInputs:
        """Token ids of texts."""
        ...

    def with_settings(self, **changes: Any) -> Self:
        """The same with some of its settings changed, such as ``num_frames``."""
        ...


@dataclass(frozen=True)
class Tower:
    """Files and texts to unit vectors in float32 on the CPU, whatever the weights' device and dtype."""

    network: EmbeddingNetwork
    """In evaluation mode."""
    processor: EmbeddingProcessor

    @torch.inference_mode()
    def media(self, sources: Sequence[Any], batch_size: int) -> Iterator[Tensor]:
        """(B, P) of one batch of files after the other; the files of a batch are read side by side."""
        weight = self._weight
        with ThreadPoolExecutor(max_workers=min(batch_size, torch.get_num_threads())) as pool:
            for start in range(0, len(sources), batch_size):
                pixels = list(pool.map(self.processor.pixels, sources[start : start + batch_size]))
                placed = [rows.to(device=weight.device, dtype=weight.dtype) for rows in _stacked(pixels)]
                yield torch.cat([_finished(self.network.embed_pixels(rows)) for rows in placed])

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """(B, P) of texts."""
        batches = self.processor.texts(texts).shortened().input_ids.split(_TEXT_BATCH_SIZE)
        device = self._weight.device
        return torch.cat([_finished(self.network.embed_text(ids.to(device))) for ids in batches])

    @property
    def _weight(self) -> Tensor:
        return next(self.network.parameters())


def _stacked(pixels: list[Tensor]) -> list[Tensor]:
    """One batch where all have one shape; else, as with clips of several lengths, each alone."""
    if len({rows.shape for rows in pixels}) == 1:
        return [torch.stack(pixels)]
    return [rows[None] for rows in pixels]


def _finished(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.float(), dim=-1).cpu()
