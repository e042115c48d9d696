"""Low-rank updates (LoRA, arXiv 2106.09685) folded into the weights they belong to, as these are read.

The names are those of peft, old and new: ``base_model.model.`` somewhere in front, ``base_layer`` or not, and
factors ``X.lora_A.NAME.weight`` (r, in) and ``X.lora_B.NAME.weight`` (out, r); saved adapters leave ``NAME.``
out. A factor without its partner, or without a weight to be added to, is an error.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kinema.errors import ConfigError, WeightsError
from kinema.hub.config_fields import expect_field, required_field
from kinema.hub.files import TensorSource
from kinema.hub.keymap import KeyMap, Shape

if TYPE_CHECKING:
    from torch import Tensor

_FACTOR = re.compile(r"(?P<target>.+)\.lora_(?P<side>[AB])(\.[^.]+)?\.weight")


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """How large the factors are, and how strongly they count."""

    rank: int
    alpha: float

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"the rank of a low-rank update must be 1 or more, got {self.rank}.")

    @property
    def scaling(self) -> float:
        """What the product of the factors is multiplied by."""
        return self.alpha / self.rank


def parse_adapter_config(content: Mapping[str, Any]) -> LoraConfig:
    """Rank and alpha of peft's ``adapter_config.json``.

    Raises:
        WeightsError: if it is not of LoRA, or of a variant whose weights are added in another way.
    """
    expect_field(content, "peft_type", "LORA")
    for variant in ("use_rslora", "use_dora", "fan_in_fan_out", "lora_bias"):
        expect_field(content, variant, False)
    for pattern in ("rank_pattern", "alpha_pattern"):
        expect_field(content, pattern, {})
    return LoraConfig(rank=required_field(content, "r"), alpha=required_field(content, "lora_alpha"))


def factors_in_layout(
    factors: Mapping[str, tuple["Tensor", "Tensor"]], keymap: KeyMap, shapes: Mapping[str, Shape]
) -> dict[str, "Tensor"]:
    """Updates of our layers, as peft names those of the same layers in another layout.

    A layer that is several there has its A with each of them, and of its B the rows that are theirs.

    Args:
        factors: A, (r, in), and B, (out, r), by the names of our layers.
        keymap: of the layout.
        shapes: of all parameters of our model.

    Raises:
        WeightsError: if a layer is no matrix of that width there, or is not there.
    """
    found: dict[str, Tensor] = {}
    for theirs, entry in keymap.inventory(shapes).items():
        layers = [part.ours.removesuffix(".weight") for part in entry.parts]
        if not factors.keys() & set(layers) or not theirs.endswith(".weight"):
            continue
        down, up = factors[layers[0]]
        if len(entry.parts) != 1 or entry.shape[1:] != down.shape[1:]:
            raise WeightsError(
                f"{layers[0]} is {theirs} of shape {entry.shape} in the {keymap.name} layout, where its "
                "update has no place; leave it out of the adapter's targets, or merge the adapter."
            )
        target = theirs.removesuffix(".weight")
        found[f"{target}.lora_A.weight"] = down.clone()
        found[f"{target}.lora_B.weight"] = up[entry.parts[0].our_rows].clone()
    return found


def has_lora(keys: Iterable[str]) -> bool:
    """Whether any of these keys is a factor of a low-rank update."""
    return any(_FACTOR.fullmatch(key) for key in keys)


class LoraFiles:
    """Checkpoints with low-rank updates, seen as one without: W + alpha / r · B A.

    The update is computed when its weight is read, so that nothing is held twice. Biases stay as they are.
    """

    def __init__(self, *sources: TensorSource, config: LoraConfig) -> None:
        """Look through the keys; no tensor is read.

        Args:
            sources: weights and factors, in one checkpoint or in several. A tensor of a later one, such as
                LLaVA's ``non_lora_trainables.bin``, takes the place of the same in an earlier one.
            config: of all factors.

        Raises:
            WeightsError: if a factor has no partner or no weight, or their shapes do not belong together.
        """
        self.config = config
        self.origin = " with ".join(source.origin for source in sources)
        self._homes: dict[str, _Home] = {}
        self._factors: dict[str, dict[str, _Home]] = {}  # of each weight, by their letter
        for source in sources:
            self._add(source)
        for target, factors in self._factors.items():
            self._check(target, factors)
        self.shapes: Mapping[str, tuple[int, ...]] = {name: home.shape for name, home in self._homes.items()}
        self.dtypes: Mapping[str, str] = {name: home.dtype for name, home in self._homes.items()}

    def read(self, key: str) -> "Tensor":
        """One tensor, with its update added in float32; in the dtype of the file."""
        tensor = self._homes[key].read()
        factors = self._factors.get(key)
        if factors is None:
            return tensor
        up, down = factors["B"].read().float(), factors["A"].read().float()
        return (tensor.float() + self.config.scaling * (up @ down)).to(tensor.dtype)

    def _add(self, source: TensorSource) -> None:
        found: dict[str, _Home] = {}
        for key in source.shapes:
            name, home = _plain_name(key), _Home(source, key)
            factor = _FACTOR.fullmatch(name)
            if factor is not None:
                self._add_factor(f"{factor['target']}.weight", factor["side"], home)
            elif name in found:
                raise WeightsError(f"{source.origin}: {found[name].key} and {key} are both {name}.")
            else:
                found[name] = home
        self._homes |= found

    def _add_factor(self, target: str, side: str, home: "_Home") -> None:
        factors = self._factors.setdefault(target, {})
        if side in factors:
            raise WeightsError(
                f"{self.origin}: {factors[side].key} and {home.key} update the same weight; keep one adapter."
            )
        factors[side] = home

    def _check(self, target: str, factors: Mapping[str, "_Home"]) -> None:
        if len(factors) == 1:
            (side, home), partner = next(iter(factors.items())), "B" if "A" in factors else "A"
            raise WeightsError(f"{self.origin}: {home.key} has no lora_{partner} beside its lora_{side}.")
        weight = self._homes.get(target)
        if weight is None:
            raise WeightsError(
                f"{self.origin}: {factors['A'].key} belongs to {target}, which is not there; "
                "is this the adapter of another model?"
            )
        (rank, num_in), (num_out, other_rank) = factors["A"].shape, factors["B"].shape
        if (rank, other_rank) != (self.config.rank,) * 2 or weight.shape != (num_out, num_in):
            raise WeightsError(
                f"{self.origin}: {target} is {weight.shape}, its factors are {factors['B'].shape} and "
                f"{factors['A'].shape} of rank {self.config.rank}; they do not belong together."
            )


@dataclass(frozen=True)
class _Home:
    """Where a tensor lies."""

    source: TensorSource
    key: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shapes[self.key]

    @property
    def dtype(self) -> str:
        return self.source.dtypes[self.key]

    def read(self) -> "Tensor":
        return self.source.read(self.key)


def _plain_name(key: str) -> str:
    """The name a key has without peft: ``base_model.model.x.base_layer.weight`` is ``x.weight``."""
    return key.replace("base_model.model.", "").replace(".base_layer.", ".")
