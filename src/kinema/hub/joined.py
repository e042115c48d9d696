"""Several checkpoints seen as one: a model whose parts were published apart, and what was trained on top."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinema.errors import WeightsError
from kinema.hub.files import TensorSource
from kinema.hub.keymap import Ignore, fits

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One checkpoint, and which of its tensors take part."""

    files: TensorSource
    taken: Mapping[str, str]
    """How the names of what is taken begin -> how they begin here. The first that fits decides."""
    ignored: tuple[Ignore, ...] = ()
    """What is left out, though it begins like what is taken."""


class JoinedFiles:
    """Tensors of several checkpoints; one of a later piece takes the place of the same in an earlier one."""

    def __init__(self, *pieces: Piece) -> None:
        """Look through the keys; no tensor is read.

        Raises:
            WeightsError: if a key of a piece is neither taken nor ignored, or a replacement has another
            shape.
        """
        self.origin = " with ".join(piece.files.origin for piece in pieces)
        self._homes: dict[str, tuple[TensorSource, str]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        for piece in pieces:
            self._add(piece)

    def read(self, key: str) -> "Tensor":
        """One tensor, on the CPU. It may share memory with a file: copy it, never write into it."""
        files, name = self._homes[key]
        return files.read(name)

    def _add(self, piece: Piece) -> None:
        unclaimed = []
        for theirs, shape in piece.files.shapes.items():
            if any(fits(rule.theirs, theirs) for rule in piece.ignored):
                continue
            ours = _renamed(theirs, piece.taken)
            if ours is None:
                unclaimed.append(theirs)
                continue
            if self.shapes.get(ours, shape) != shape:
                raise WeightsError(
                    f"{piece.files.origin}: {theirs} is {shape}, but replaces one of {self.shapes[ours]}; "
                    "they belong to models of different sizes."
                )
            self.shapes[ours], self._homes[ours] = shape, (piece.files, theirs)
            self.dtypes[ours] = piece.files.dtypes[theirs]
        if unclaimed:
            raise WeightsError(
                f"{piece.files.origin}: no rule for {', '.join(unclaimed[:6])}"
                f"{f' and {len(unclaimed) - 6} more' if len(unclaimed) > 6 else ''}; is it the file that was "
                "asked for? Nothing was loaded."
            )


def _renamed(theirs: str, taken: Mapping[str, str]) -> str | None:
    for start, ours in taken.items():
        if theirs.startswith(start):
            return ours + theirs[len(start) :]
    return None
