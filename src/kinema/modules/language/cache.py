"""What a decoder asks of a key-value cache; the caches themselves belong to inference."""

from typing import Protocol

from torch import Tensor


class KeyValueCache(Protocol):
    """Keys and values of the positions read so far, layer by layer.

    B rows, A_kv key heads, L positions in the cache, d head size.
    """

    @property
    def length(self) -> int:
        """Positions held before the present forward pass."""

    @property
    def row_mask(self) -> Tensor | None:
        """(B, L + N) bool over held and new positions, False at padding; None where there is no padding."""

    def update(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append (B, A_kv, N, d) of one layer, return all of it, (B, A_kv, L + N, d)."""
