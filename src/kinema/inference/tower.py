"""A network that embeds one kind of media beside text, and the processor that belongs to it.

B files or texts, N text positions, P width of the space.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from kinema.errors import InputError, MediaError
from kinema.processors.text_inputs import TextInputs

_TEXT_BATCH_SIZE = 256

Seen = Tensor | tuple[Tensor, ...]
"""What a network takes of media: a tensor, or several where it sees and hears at once."""

LeftOut = Callable[[int, MediaError | InputError], None]
"""Is told of a file that cannot be embedded, by its number, and why not."""


class EmbeddingNetwork(Protocol):
    """Puts media of one kind, and text, into one space."""

    @property
    def logit_scale(self) -> Tensor:
        """Logarithm of what cosines are multiplied with before a softmax."""
        ...

    def parameters(self) -> Iterator[Parameter]:
        """The weights, as every ``nn.Module`` gives them."""
        ...

    @property
    def embed_pixels(self) -> Callable[..., Tensor]:
        """A method: unit vectors of media, (B, ...) to (B, P); an argument each tensor of ``Seen``."""
        ...

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Unit vectors of texts, (B, N) to (B, P)."""
        ...


@runtime_checkable
class MatchingNetwork(Protocol):
    """Looks at media and a text together, which costs more than comparing their vectors and tells more."""

    @property
    def match_pixels(self) -> Callable[..., Tensor]:
        """A method: how well a text, (1, N), the last argument, belongs to each of some media, (B,)."""
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

    def pixels(self, media: Any) -> Seen:
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
    def media(
        self, sources: Sequence[Any], batch_size: int, left_out: LeftOut | None = None
    ) -> Iterator[Tensor]:
        """(B, P) of one batch of files after the other; the files of a batch are read side by side.

        A batch of which no file can be read gives an empty tensor.

        Args:
            sources: the files.
            batch_size: how many are held at a time.
            left_out: is told of one that cannot be read, which then has no row; None raises its error.
        """
        for batch in self._batches(sources, batch_size, left_out):
            vectors = [_finished(self.network.embed_pixels(*rows)) for rows in batch]
            yield torch.cat(vectors) if vectors else torch.empty(0)

    @torch.inference_mode()
    def matches(self, text: str, sources: Sequence[Any], batch_size: int) -> Iterator[Tensor]:
        """(B,) of one batch of files after the other: how well a text belongs to each, as logits.

        Raises:
            InputError: if the network compares vectors only.
        """
        if not isinstance(self.network, MatchingNetwork):
            raise InputError(
                "this model compares vectors only; one that looks at media and text together is stage 2 of "
                "InternVideo2."
            )
        input_ids = self.processor.texts([text]).shortened().input_ids.to(self._weight.device)
        for batch in self._batches(sources, batch_size):
            logits = [self.network.match_pixels(*rows, input_ids) for rows in batch]
            yield torch.cat(logits).float().cpu()

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """(B, P) of texts."""
        batches = self.processor.texts(texts).shortened().input_ids.split(_TEXT_BATCH_SIZE)
        device = self._weight.device
        return torch.cat([_finished(self.network.embed_text(ids.to(device))) for ids in batches])

    def _batches(
        self, sources: Sequence[Any], batch_size: int, left_out: LeftOut | None = None
    ) -> Iterator[list[tuple[Tensor, ...]]]:
        """What is seen of one batch of files after the other, where the network is; one shape, one tensor."""
        weight = self._weight
        with ThreadPoolExecutor(max_workers=min(batch_size, torch.get_num_threads())) as pool:
            for start in range(0, len(sources), batch_size):
                read = list(pool.map(self._read, sources[start : start + batch_size]))
                for number, item in enumerate(read, start):
                    if isinstance(item, MediaError | InputError):
                        if left_out is None:
                            raise item
                        left_out(number, item)
                seen = [item for item in read if not isinstance(item, MediaError | InputError)]
                yield [
                    tuple(part.to(device=weight.device, dtype=weight.dtype) for part in rows)
                    for rows in _stacked(seen)
                ]

    def _read(self, source: Any) -> Seen | MediaError | InputError:
        """What is seen of one file, or why nothing is."""
        try:
            return self.processor.pixels(source)
        except (MediaError, InputError) as error:
            return error

    @property
    def _weight(self) -> Tensor:
        return next(self.network.parameters())


def _stacked(seen: list[Seen]) -> list[tuple[Tensor, ...]]:
    """One batch where all have one shape; else, as with clips of several lengths, each alone."""
    items = [(item,) if isinstance(item, Tensor) else item for item in seen]
    if len({tuple(part.shape for part in item) for item in items}) == 1:
        return [tuple(torch.stack(parts) for parts in zip(*items, strict=True))]
    return [tuple(part[None] for part in item) for item in items]


def _finished(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.float(), dim=-1).cpu()
