"""Two names for one tensor: rules between the keys of a checkpoint file and the parameters of our modules.

A key map is a list of rules, read in both directions. Given the shapes of our parameters it states the whole
inventory of the file: the keys it must hold, their shapes, and which rows of ours each of them is. Loading
compares that inventory with the file and fails on any difference, by name; saving writes it out. So what can
be loaded can be saved, and nothing is ever loaded in part.

In a pattern, ``*`` stands for one part of a dotted name, such as the number of a layer; the stars of both
sides stand for the same parts in the same order. ``**`` stands for one part or more, in what is ignored.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from types import EllipsisType

import torch
from torch import Tensor, nn

from kinema.errors import WeightsError
from kinema.hub.files import TensorSource

Shape = tuple[int, ...]
Rows = slice | EllipsisType


@dataclass(frozen=True)
class Part:
    """Rows of a file's tensor, and the rows of one of our parameters that hold the same values."""

    ours: str
    our_rows: Rows = ...
    their_rows: Rows = ...


@dataclass(frozen=True)
class Entry:
    """One tensor of the file: its shape there, and where its values stand in our parameters."""

    shape: Shape
    parts: tuple[Part, ...]


Inventory = dict[str, Entry]
"""Key of the file -> what it holds."""


@dataclass(frozen=True)
class Rename:
    """The same tensor under another name."""

    theirs: str
    ours: str

    def entries(self, stars: Sequence[str], shapes: Mapping[str, Shape]) -> Inventory:
        """What the file holds for one match of the rule."""
        ours = _fill(self.ours, stars)
        return {_fill(self.theirs, stars): Entry(shapes[ours], (Part(ours),))}


@dataclass(frozen=True)
class Reshape:
    """The same values in another shape: a convolution over patches that are already cut is a linear layer."""

    theirs: str
    ours: str
    their_columns: Shape
    """Dimensions in the file after the first, which is that of ours."""

    def entries(self, stars: Sequence[str], shapes: Mapping[str, Shape]) -> Inventory:
        """What the file holds for one match of the rule."""
        ours = _fill(self.ours, stars)
        shape = (shapes[ours][0], *self.their_columns)
        return {_fill(self.theirs, stars): Entry(shape, (Part(ours),))}


@dataclass(frozen=True)
class Unsqueeze:
    """The same tensor with dimensions of size one in front: a table that the file holds as a batch of one."""

    theirs: str
    ours: str
    num_ones: int = 1

    def entries(self, stars: Sequence[str], shapes: Mapping[str, Shape]) -> Inventory:
        """What the file holds for one match of the rule."""
        ours = _fill(self.ours, stars)
        shape = (1,) * self.num_ones + shapes[ours]
        return {_fill(self.theirs, stars): Entry(shape, (Part(ours),))}


@dataclass(frozen=True)
class Fuse:
    """Several tensors of the file, stacked by rows into one of ours."""

    theirs: tuple[str, ...]
    ours: str
    rows: tuple[int, ...]
    """Rows of each, in order; together those of ours."""

    def entries(self, stars: Sequence[str], shapes: Mapping[str, Shape]) -> Inventory:
        """What the file holds for one match of the rule."""
        ours = _fill(self.ours, stars)
        num_rows, *columns = shapes[ours]
        if sum(self.rows) != num_rows:
            raise WeightsError(f"{ours} has {num_rows} rows, but its rule fuses {self.rows}.")
        blocks = zip(self.theirs, self.rows, _row_blocks(self.rows), strict=True)
        return {
            _fill(theirs, stars): Entry((rows, *columns), (Part(ours, our_rows=block),))
            for theirs, rows, block in blocks
        }


@dataclass(frozen=True)
class Reorder:
    """The same rows in another order: attention heads that the file holds group by group."""

    theirs: str
    ours: str
    blocks: tuple[slice, ...]
    """Rows of ours in the order in which the file has them; together all of ours."""

    def entries(self, stars: Sequence[str], shapes: Mapping[str, Shape]) -> Inventory:
        """What the file holds for one match of the rule."""
        ours = _fill(self.ours, stars)
        lengths = [block.stop - block.start for block in self.blocks]
        if sum(lengths) != shapes[ours][0]:
            raise WeightsError(f"{ours} has {shapes[ours][0]} rows, but its rule orders {sum(lengths)}.")
        places = zip(self.blocks, _row_blocks(lengths), strict=True)
        parts = tuple(Part(ours, our_rows=block, their_rows=rows) for block, rows in places)
        return {_fill(self.theirs, stars): Entry(shapes[ours], parts)}


@dataclass(frozen=True)
class Split:
    """One tensor of the file, cut by rows into several of ours."""

    theirs: str
    ours: tuple[str, ...]

    def entries(self, stars: Sequence[str], shapes: Mapping[str, Shape]) -> Inventory:
        """What the file holds for one match of the rule."""
        ours = [_fill(pattern, stars) for pattern in self.ours]
        absent = [name for name in ours if name not in shapes]
        if absent:
            raise WeightsError(f"the model has no {_some(absent)}, into which {self.theirs} is to be split.")
        rows = [shapes[name][0] for name in ours]
        parts = [Part(name, their_rows=block) for name, block in zip(ours, _row_blocks(rows), strict=True)]
        return {_fill(self.theirs, stars): Entry((sum(rows), *shapes[ours[0]][1:]), tuple(parts))}


@dataclass(frozen=True)
class Ignore:
    """A tensor of the file that our model has no use for. It is not read, and not written."""

    theirs: str
    reason: str


@dataclass(frozen=True)
class Tied:
    """A second copy of a tensor, which a file may hold. It must equal the first."""

    theirs: str
    same_as: str
    is_written: bool = False
    """Whether files that we write hold the copy too, as the published ones of this layout do."""


PlacingRule = Rename | Reshape | Unsqueeze | Fuse | Reorder | Split
Rule = PlacingRule | Ignore | Tied


@dataclass(frozen=True)
class KeyMap:
    """All rules between one layout of files and one module. The first rule that fits a parameter decides."""

    name: str
    """What an error calls the layout."""
    rules: tuple[Rule, ...]

    def inventory(self, shapes: Mapping[str, Shape]) -> Inventory:
        """Every tensor a file of this layout holds for a module with these parameters.

        Args:
            shapes: our parameter names and their shapes, as a module on the meta device has them.

        Raises:
            WeightsError: if a parameter has no rule, or two rules claim one key.
        """
        found: Inventory = {}
        placed: set[str] = set()
        orphans = []
        for ours in shapes:
            if ours in placed:
                continue
            entries = self._entries_of(ours, shapes)
            if not entries:
                orphans.append(ours)
            twice = sorted(entries.keys() & found.keys())
            if twice:
                raise WeightsError(f"{self.name}: two rules claim {_some(twice)}. Narrow their patterns.")
            found |= entries
            placed |= {part.ours for entry in entries.values() for part in entry.parts}
        if orphans:
            raise WeightsError(
                f"{self.name}: no rule for {_count(orphans, 'parameter')} of the model: {_some(orphans)}. "
                "Map them in the family's key map."
            )
        return found

    def load(
        self,
        files: TensorSource,
        shapes: Mapping[str, Shape],
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> dict[str, Tensor]:
        """Read a checkpoint into our names.

        Each tensor is cast and put in its place as it is read, so memory stays at the result plus one tensor.

        Args:
            files: the tensors of the checkpoint.
            shapes: our parameter names and their shapes.
            dtype: what to cast to; None keeps what the file has.
            device: where the result goes.

        Returns:
            A tensor for each name of ``shapes``.

        Raises:
            WeightsError: naming every key that is missing, has no rule, or has another shape than the model.
        """
        inventory = self.inventory(shapes)
        self._check(files, inventory)
        state: dict[str, Tensor] = {}
        for theirs, entry in inventory.items():
            tensor = files.read(theirs)
            for part in entry.parts:
                if part.ours not in state:
                    new = torch.empty(shapes[part.ours], dtype=dtype or tensor.dtype, device=device)
                    state[part.ours] = new
                target = state[part.ours][part.our_rows]
                if dtype is None and target.dtype != tensor.dtype:
                    raise WeightsError(
                        f"{files.origin}: {theirs} is {tensor.dtype}, fused with {target.dtype}; "
                        "name one dtype for both."
                    )
                target.copy_(tensor[part.their_rows].reshape(target.shape))
        return state

    def load_into(
        self,
        module: nn.Module,
        files: TensorSource,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Give a module, built on the meta device, the weights of a checkpoint; see ``load``."""
        shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        module.load_state_dict(self.load(files, shapes, dtype=dtype, device=device), assign=True)

    def export(self, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Our tensors as this layout names and shapes them: views, except where several are joined."""
        inventory = self.inventory({name: tuple(tensor.shape) for name, tensor in state.items()})
        for theirs, entry in inventory.items():
            pieces = [state[part.ours][part.our_rows] for part in entry.parts]
            joined = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
            tensor = joined.reshape(entry.shape)
            yield theirs, tensor
            yield from ((copy, tensor) for copy in self._written_copies(theirs))

    def _entries_of(self, ours: str, shapes: Mapping[str, Shape]) -> Inventory:
        for rule in self.rules:
            if isinstance(rule, Ignore | Tied):
                continue
            for pattern in (rule.ours,) if isinstance(rule.ours, str) else rule.ours:
                stars = _match(pattern, ours)
                if stars is not None:
                    return rule.entries(stars, shapes)
        return {}

    def _written_copies(self, theirs: str) -> list[str]:
        ties = [rule for rule in self.rules if isinstance(rule, Tied) and rule.is_written]
        return [tie.theirs for tie in ties if tie.same_as == theirs]

    def _check(self, files: TensorSource, inventory: Inventory) -> None:
        missing = [key for key in inventory if key not in files.shapes]
        unclaimed = [key for key in files.shapes if key not in inventory and not self._is_dropped(key)]
        misshapen = [
            f"{key} is {files.shapes[key]}, expected {entry.shape}"
            for key, entry in inventory.items()
            if key in files.shapes and files.shapes[key] != entry.shape
        ]
        problems = []
        if missing:
            problems.append(f"{_count(missing, 'key')} missing: {_some(missing)}")
        if unclaimed:
            problems.append(f"{_count(unclaimed, 'key')} without a rule: {_some(unclaimed)}")
        if misshapen:
            problems.append(f"{_count(misshapen, 'key')} of another shape: {_some(misshapen, '; ')}")
        if problems:
            raise WeightsError(
                f"{files.origin} does not hold this model in the {self.name} layout: {'. '.join(problems)}. "
                "Nothing was loaded; do config.json and the weights belong together?"
            )
        self._check_tied(files)

    def _is_dropped(self, key: str) -> bool:
        dropping = (rule.theirs for rule in self.rules if isinstance(rule, Ignore | Tied))
        return any(fits(pattern, key) for pattern in dropping)

    def _check_tied(self, files: TensorSource) -> None:
        for rule in self.rules:
            if not isinstance(rule, Tied) or rule.theirs not in files.shapes:
                continue
            if not torch.equal(files.read(rule.theirs), files.read(rule.same_as)):
                raise WeightsError(
                    f"{files.origin}: {rule.theirs} differs from {rule.same_as}, though they are tied; "
                    "set tie_word_embeddings to false in config.json to use both."
                )


def fits(pattern: str, name: str) -> bool:
    """Whether a name is one that a pattern stands for."""
    return _match(pattern, name) is not None


def _match(pattern: str, name: str) -> tuple[str, ...] | None:
    """What the stars of a pattern stand for in a name, or None where it does not fit."""
    found = _expression(pattern).fullmatch(name)
    return None if found is None else found.groups()


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """Made once: every parameter of a model is compared with the patterns of its family."""
    return re.compile(re.escape(pattern).replace(r"\*\*", ".+").replace(r"\*", r"([^.]+)"))


def _fill(pattern: str, stars: Sequence[str]) -> str:
    values = iter(stars)
    return re.sub(r"\*", lambda _: next(values), pattern)


def _row_blocks(rows: Sequence[int]) -> list[slice]:
    """Consecutive slices of these lengths: (2, 3) gives 0:2 and 2:5."""
    return [slice(stop - length, stop) for length, stop in zip(rows, accumulate(rows), strict=True)]


def _count(names: Sequence[str], noun: str) -> str:
    return f"{len(names)} {noun}" if len(names) == 1 else f"{len(names)} {noun}s"


def _some(names: Sequence[str], separator: str = ", ", most: int = 6) -> str:
    """As many names as one can read, and how many more there are."""
    shown = separator.join(names[:most])
    return shown if len(names) <= most else f"{shown}{separator}and {len(names) - most} more"
