"""Keys and values of what a decoder has read, so that nothing is read twice.

B rows, A_kv key heads, L positions held, N new positions, d head size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kinema.errors import OutOfBudgetError
from kinema.modules.language.decoder import DecoderConfig


def cache_bytes(config: DecoderConfig, num_positions: int, dtype: torch.dtype) -> int:
    """Size of the keys and values of ``num_positions`` positions of all layers."""
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * num_positions * dtype.itemsize


class StaticCache:
    """Room for a fixed number of positions, taken at once; filling it copies nothing else."""

    row_mask: Tensor | None = None
    """None: no position is padding."""

    def __init__(
        self,
        config: DecoderConfig,
        capacity: int,
        *,
        batch_size: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        shape = (batch_size, config.num_kv_heads, capacity, config.head_dim)
        self._keys = [torch.empty(shape, device=device, dtype=dtype) for _ in range(config.num_layers)]
        self._values = [torch.empty_like(key) for key in self._keys]
        self._lengths = [0] * config.num_layers

    @property
    def length(self) -> int:
        """Positions held. The last layer counts, so it does not change in the middle of a forward pass."""
        return self._lengths[-1]

    @property
    def capacity(self) -> int:
        """Positions there is room for."""
        return self._keys[0].shape[2]

    @property
    def size_bytes(self) -> int:
        """Memory taken, whether filled or not."""
        return sum(buffer.nbytes for buffer in (*self._keys, *self._values))

    def update(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append (B, A_kv, N, d) of one layer, return all of it, (B, A_kv, L + N, d).

        Raises:
            OutOfBudgetError: if there is no room for them.
        """
        start = self._lengths[layer]
        stop = start + key.shape[2]
        self._make_room(layer, stop)
        self._keys[layer][:, :, start:stop] = key
        self._values[layer][:, :, start:stop] = value
        self._lengths[layer] = stop
        return self._keys[layer][:, :, :stop], self._values[layer][:, :, :stop]

    def truncate_to(self, length: int) -> None:
        """Forget all but the first ``length`` positions; the room stays.

        Raises:
            ValueError: if fewer are held.
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot truncate a cache of {self.length} positions to {length}.")
        self._lengths = [length] * len(self._lengths)

    def _make_room(self, layer: int, needed: int) -> None:
        if needed > self.capacity:
            raise OutOfBudgetError(
                f"a cache of {self.capacity} positions was asked to hold {needed}. Give it a larger "
                "capacity, or take a GrowingCache."
            )


class GrowingCache(StaticCache):
    """Room that doubles when it is full, so that appending one by one costs constant time on average."""

    def __init__(
        self,
        config: DecoderConfig,
        capacity: int = 256,
        *,
        batch_size: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(config, capacity, batch_size=batch_size, device=device, dtype=dtype)

    def fork(self) -> "GrowingCache":
        """A copy of what is held, which goes its own way from here."""
        copy = object.__new__(GrowingCache)
        copy._keys = [buffer[:, :, : self.length].clone() for buffer in self._keys]
        copy._values = [buffer[:, :, : self.length].clone() for buffer in self._values]
        copy._lengths = list(self._lengths)
        return copy

    def _make_room(self, layer: int, needed: int) -> None:
        if needed > self._keys[layer].shape[2]:
            capacity = max(needed, 2 * self._keys[layer].shape[2])
            self._keys[layer] = self._grown(self._keys[layer], self._lengths[layer], capacity)
            self._values[layer] = self._grown(self._values[layer], self._lengths[layer], capacity)

    @staticmethod
    def _grown(buffer: Tensor, length: int, capacity: int) -> Tensor:
        batch_size, num_heads, _, head_dim = buffer.shape
        grown = buffer.new_empty(batch_size, num_heads, capacity, head_dim)
        grown[:, :, :length] = buffer[:, :, :length]
        return grown


class BatchCache(StaticCache):
    """Rows of different length, read one by one and continued together.

    Every row ends at the same index and its padding stands before it, so that the distance of two indices is
    the distance of two positions, which a sliding window needs. Fill ``row(0)``, ``row(1)``, ... with their
    prompts, then decode with the whole; a prompt is never padded, nor is a mask made over it.
    """

    def __init__(
        self,
        config: DecoderConfig,
        lengths: Sequence[int],
        *,
        room: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """``lengths`` are the positions of each row's prompt, ``room`` those that all rows can go on for."""
        longest = max(lengths)
        super().__init__(config, longest + room, batch_size=len(lengths), device=device, dtype=dtype)
        self._lengths = [longest] * config.num_layers
        self._starts = [longest - length for length in lengths]
        starts = torch.tensor(self._starts, device=device)[:, None]
        self._real = torch.arange(longest + room, device=device)[None] >= starts  # (B, capacity)
        for buffer in (*self._keys, *self._values):
            for row, start in enumerate(self._starts):
                buffer[row, :, :start] = 0  # what is masked must still be a number: 0 · nan is nan

    @property
    def row_mask(self) -> Tensor | None:  # type: ignore[override]
        """(B, L + 1) bool, for one new position a row; None where all rows are of one length."""
        return self._real[:, : self.length + 1] if any(self._starts) else None

    def row(self, index: int) -> StaticCache:
        """The room of one row's prompt, empty; what is written into it is held by the batch."""
        longest, rows = self.length, slice(index, index + 1)
        view = object.__new__(StaticCache)
        view._keys = [buffer[rows, :, self._starts[index] : longest] for buffer in self._keys]
        view._values = [buffer[rows, :, self._starts[index] : longest] for buffer in self._values]
        view._lengths = [0] * len(self._lengths)
        return view
