"""Low-rank updates (LoRA, arXiv 2106.09685) by ``peft``, on any part of any model.

The model stays the class that it is: linear layers are wrapped where they stand. A fused layer, such as
query, key and value in one, gets one pair of factors; in files each of its matrices has the first factor and
its rows of the second. ``training.low_rank`` has a pair for each fused matrix, as models were published that
peft, which knows nothing of what is fused, cannot train.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.hub.keymap import KeyMap
from kinema.hub.lora import factors_in_layout
from kinema.hub.write import new_folder
from kinema.optional import require
from kinema.training.four_bits import hold_in_four_bits, unpacked
from kinema.training.parts import inside

_NAME = "default"
"""Of the adapter, in peft's names of parameters."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """Which layers get updates, and how large these are."""

    parts: tuple[str, ...]
    """Names as in a stage's ``learning_rates``. In a part that has updates these alone learn."""
    rank: int = 16
    alpha: float = 32.0
    """Updates count alpha / rank times."""
    dropout: float = 0.0
    """Share of the inputs of updates that is dropped in training."""
    targets: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    """Linear layers inside the parts, by the ends of their names, such as ``attention.qkv``; or all of them
    but heads over a vocabulary."""
    base_bits: Literal[4] | None = None
    """Four bits for the frozen weights of these layers (QLoRA), see ``training.four_bits``, which then cannot
    be sharded; None keeps them as they are."""

    def __post_init__(self) -> None:
        if self.rank < 1 or not 0 <= self.dropout < 1 or not self.parts or not self.targets:
            raise ConfigError(
                f"an adapter has parts, targets, a rank of at least 1 and a dropout from 0 to below 1; got "
                f"{self}."
            )


def add_adapter(model: nn.Module, adapter: Adapter, *, seed: int = 0) -> tuple[str, ...]:
    """Put updates beside linear layers, in place; they begin at zero, so that no output changes.

    Args:
        model: may have shapes only.
        adapter: where, and how large.
        seed: draws the first factor of each.

    Returns:
        Names of the layers that have one now.

    Raises:
        ConfigError: if a part or a target is not in the model, or it has updates already.
        MissingExtraError: if peft, or what holds weights in four bits, is not installed.
    """
    peft = require("peft", "train")
    if any(True for _ in _adapted(model)):
        raise ConfigError("the model has updates already; merge them before it gets others.")
    names = find_targets(model, adapter)
    if adapter.base_bits is not None:
        hold_in_four_bits(model, names)
    config = peft.LoraConfig(
        r=adapter.rank, lora_alpha=adapter.alpha, lora_dropout=adapter.dropout, target_modules=list(names)
    )
    is_meta = any(parameter.is_meta for parameter in model.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(config, model, adapter_name=_NAME, low_cpu_mem_usage=is_meta)
    wrapped = {name for name, _ in _adapted(model)}
    assert wrapped == set(names), f"peft wrapped {wrapped ^ set(names)}"
    for _, layer in _adapted(model):
        for side in ("lora_A", "lora_B"):
            getattr(layer, side).float()  # what learns is float32, whatever lies beside it
    return names


def find_targets(model: nn.Module, adapter: Adapter) -> tuple[str, ...]:
    """Whole names of the layers that an adapter is about, in the order of the model.

    Raises:
        ConfigError: if a part or a target is not there.
    """
    modules = dict(model.named_modules())
    held = {name: module for part in adapter.parts for name, module in inside(part, modules, model).items()}
    linear = [name for name, module in held.items() if isinstance(module, nn.Linear)]
    if adapter.targets == "all-linear":
        chosen = [name for name in linear if name.rpartition(".")[-1] != "lm_head"]
    else:
        ends = {target: [name for name in linear if _ends(name, target)] for target in adapter.targets}
        if absent := [target for target, found in ends.items() if not found]:
            kinds = sorted({name.rpartition(".")[-1] for name in linear})
            raise ConfigError(
                f"{', '.join(adapter.parts)}: no linear layer is called {', '.join(absent)}; there are "
                f"{', '.join(kinds) or 'none'}."
            )
        chosen = [name for name in linear if any(name in found for found in ends.values())]
    if not chosen:
        raise ConfigError(f"{', '.join(adapter.parts)}: there is no linear layer to put updates beside.")
    return tuple(chosen)


def merge_adapter(model: nn.Module) -> int:
    """Fold every update into its weight, in place; names are then as they were without.

    A weight held in four bits is unpacked, rounded as it was when the update was learned beside it, and has
    the dtype again that it had before.

    Returns:
        How many layers had one.
    """
    layers = dict(_adapted(model))
    for name, layer in layers.items():
        base = unpacked(layer.get_base_layer())
        base.register_parameter("weight", nn.Parameter(_merged_weight(layer)))
        model.set_submodule(name, base)
    if layers:
        del model.peft_config
    return len(layers)


def merged_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that a model would have after ``merge_adapter``, by their names; it keeps its updates.

    Those that updates are folded into lie on the host, since a device need not have room for them twice.
    """
    merged = {f"{name}.weight": _merged_weight(layer).cpu() for name, layer in _adapted(model)}
    return _plain_tensors(model) | merged


def save_adapter(model: nn.Module, keymap: KeyMap, folder: Path, *, base: str | None = None) -> None:
    """Write updates alone, as peft does, for the model in the layout of a key map.

    Args:
        model: has updates.
        keymap: of the model without them; says what its layers are called there, and which are apart there.
            peft asks for the names of modules: a class that renames as it reads, such as transformers' of
            Video-LLaVA, needs the key map of its own ``state_dict``.
        folder: new; gets ``adapter_config.json`` and ``adapter_model.safetensors``.
        base: hub id or folder of the model they belong to.

    Raises:
        WeightsError: if a layer is of another shape in that layout, or the folder holds something.
        ConfigError: if there are none.
    """
    layers = dict(_adapted(model))
    if not layers:
        raise ConfigError("the model has no updates to be saved.")
    factors = {name: _factors(layer) for name, layer in layers.items()}
    written = factors_in_layout(factors, keymap, _plain_shapes(model))
    peft = require("peft", "train")
    every: Any = model.peft_config
    ours = every[_NAME]
    config = peft.LoraConfig(
        r=ours.r,
        lora_alpha=ours.lora_alpha,
        lora_dropout=ours.lora_dropout,
        target_modules=sorted({key.partition(".lora_")[0] for key in written}),
        base_model_name_or_path=base,
        inference_mode=True,
    )
    with new_folder(folder) as unfinished:
        tensors = {f"base_model.model.{key}": tensor for key, tensor in written.items()}
        save_file(tensors, unfinished / "adapter_model.safetensors", metadata={"format": "pt"})
        config.save_pretrained(str(unfinished))


def _adapted(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Layers with updates by peft."""
    return ((name, module) for name, module in model.named_modules() if hasattr(module, "lora_A"))


@torch.no_grad()
def _merged_weight(layer: Any) -> Tensor:
    weight = unpacked(layer.get_base_layer()).weight
    merged: Tensor = weight.float() + layer.get_delta_weight(_NAME).float()
    return merged.to(weight.dtype)


def _plain_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Of the model without updates, by their names there; without what is kept beside packed weights."""
    named = model.state_dict().items()
    kept = {name: value for name, value in named if ".lora_" not in name and ".weight." not in name}
    return {name.replace(".base_layer.", "."): value for name, value in kept.items()}


def _ends(name: str, target: str) -> bool:
    return f".{name}".endswith(f".{target}")


def _factors(layer: Any) -> tuple[Tensor, Tensor]:
    """A, (rank, D), and B, (D_out, rank)."""
    return layer.lora_A[_NAME].weight.detach().cpu(), layer.lora_B[_NAME].weight.detach().cpu()


def _plain_shapes(model: nn.Module) -> Mapping[str, tuple[int, ...]]:
    shapes = {name: tuple(value.shape) for name, value in _plain_tensors(model).items()}
    adapted = {f"{name}.weight": (layer.out_features, layer.in_features) for name, layer in _adapted(model)}
    return shapes | adapted  # a packed weight lies there as a column
