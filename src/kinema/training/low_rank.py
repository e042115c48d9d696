"""Low-rank updates (LoRA, arXiv 2106.09685) that are learned beside frozen weights, and folded in afterwards.

Checkpoints that hold such updates are merged as they are read, see ``hub.lora``. D input width.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.hub.lora import LoraConfig
from kinema.modules.linear import Linear

FusedParts = int | tuple[int, ...]
"""Matrices fused in one layer: how many of equal size, or the outputs of each."""


class LowRank(nn.Module):
    """What is added to the output of a linear layer: alpha / r · B A x, zero before training.

    A fused layer, such as query, key and value in one, gets an update for each of its parts, as the published
    models have for their separate layers.
    """

    def __init__(
        self,
        base: nn.Linear,
        config: LoraConfig,
        *,
        parts: FusedParts,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.scaling = config.scaling
        self.part_sizes = _part_sizes(base.out_features, parts)
        self.dropout = nn.Dropout(dropout)
        down = torch.empty(len(self.part_sizes), config.rank, base.in_features)
        down.uniform_(-(base.in_features**-0.5), base.in_features**-0.5, generator=generator)
        self.down = nn.Parameter(down.to(base.weight))
        self.up = nn.Parameter(base.weight.new_zeros(base.out_features, config.rank))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D_out)."""
        low = torch.einsum("...i,kri->...kr", self.dropout(x), self.down).unbind(-2)
        ups = self.up.split(self.part_sizes)
        return self.scaling * torch.cat([part @ up.T for part, up in zip(low, ups, strict=True)], dim=-1)

    def update(self) -> Tensor:
        """What is added to the weight, (D_out, D), computed in float32."""
        ups = self.up.float().split(self.part_sizes)
        products = [up @ down for up, down in zip(ups, self.down.float(), strict=True)]
        return self.scaling * torch.cat(products)


def _part_sizes(num_outputs: int, parts: FusedParts) -> tuple[int, ...]:
    if isinstance(parts, tuple):
        if sum(parts) != num_outputs:
            raise ConfigError(f"parts of {parts} outputs are not all of {num_outputs}.")
        return parts
    if num_outputs % parts:
        raise ConfigError(f"{num_outputs} outputs are not {parts} equal parts.")
    return (num_outputs // parts,) * parts


class LowRankLinear(Linear):
    """A linear layer with an update beside it; its own weight and bias keep their names."""

    def __init__(self, base: nn.Linear, low_rank: LowRank) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.low_rank = low_rank

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D_out)."""
        return super().forward(x) + self.low_rank(x)

    def merged_weight(self) -> Tensor:
        """(D_out, D), with the update in it, summed in float32."""
        merged = self.weight.float() + self.low_rank.update()
        return merged.to(self.weight.dtype).detach()


def add_low_rank(
    model: nn.Module,
    targets: Mapping[str, FusedParts],
    config: LoraConfig,
    *,
    dropout: float = 0.0,
    generator: torch.Generator,
) -> None:
    """Put updates beside linear layers, in place; a stage learns them as the part ``NAME.low_rank``.

    Args:
        model: whatever holds the layers.
        targets: paths of linear layers, ``*`` for any one step, to the parts fused in each.
        config: rank and alpha.
        dropout: share of inputs of the updates that are dropped in training.
        generator: draws A; B starts at zero.

    Raises:
        ConfigError: if a path leads to no linear layer, or one has other parts.
    """
    for target, parts in targets.items():
        pattern = re.compile(re.escape(target).replace(r"\*", "[^.]+"))
        found = [name for name, module in model.named_modules() if pattern.fullmatch(name)]
        if not found or any(not isinstance(model.get_submodule(name), nn.Linear) for name in found):
            raise ConfigError(f"{target} must name linear layers; it names {found or 'nothing'}.")
        for name in found:
            base = model.get_submodule(name)
            assert isinstance(base, nn.Linear)
            beside = LowRank(base, config, parts=parts, dropout=dropout, generator=generator)
            model.set_submodule(name, LowRankLinear(base, beside))


def merge_low_rank(model: nn.Module) -> int:
    """Fold every update into its weight, in place; the model is then as it would have been without.

    Returns:
        How many layers had one.
    """
    layers = _layers(model)
    for name, layer in layers.items():
        plain = Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        plain.weight, plain.bias = nn.Parameter(layer.merged_weight()), layer.bias
        model.set_submodule(name, plain)
    return len(layers)


def merged_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that a model would have after ``merge_low_rank``, by their names; it keeps its updates."""
    tensors = {name: tensor for name, tensor in model.state_dict().items() if ".low_rank." not in name}
    return tensors | {f"{name}.weight": layer.merged_weight() for name, layer in _layers(model).items()}


def _layers(model: nn.Module) -> dict[str, LowRankLinear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, LowRankLinear)}
