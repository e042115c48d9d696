"""Frozen weights in four bits (NF4; QLoRA, arXiv 2305.14314, Section 3) by ``bitsandbytes``, on any device.

Each weight is one of 16 values times a scale, a float32 that 64 neighbours share: 4.5 bits. The scales are
not quantised once more, by which the paper saves 0.37 bits of these: bitsandbytes would keep their mean where
no checkpoint restores it.
"""

import logging
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import flop_registry, register_flop_formula

from kinema.modules.linear import Linear
from kinema.optional import require

_SHARE_A_SCALE = 64
_KIND = "nf4"

# On some CPUs bitsandbytes, which peft imports as well, would warn that a product not used here is not there.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def hold_in_four_bits(model: nn.Module, names: Iterable[str]) -> None:
    """Replace linear layers, in place, by such that pack their weights when the model goes to its device.

    What enters them is multiplied in the dtype that the weights have now.

    Args:
        model: may have shapes only; these are then of packed weights.
        names: of the layers.

    Raises:
        MissingExtraError: if bitsandbytes is not installed.
    """
    library = four_bit_library()
    for name in names:
        layer = model.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        made = library.nn.Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            compute_dtype=layer.weight.dtype,
            device="meta",
        )
        made.weight, made.bias = _to_be_packed(layer.weight), layer.bias
        made.support_avx512bf16_for_cpu = False  # a layout for faster answers; no gradient goes through it
        model.set_submodule(name, made.train(layer.training))
    setattr(model, "is_loaded_in_4bit", True)  # noqa: B010  peft asks; mypy takes attributes for modules


def unpacked(layer: nn.Linear) -> nn.Linear:
    """A layer whose weights have the dtype of before, rounded to what four bits tell; any other as it is."""
    state = getattr(layer.weight, "quant_state", None)
    if state is None:
        return layer
    made = Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    weight = four_bit_library().functional.dequantize_4bit(layer.weight.detach(), state)
    made.weight, made.bias = nn.Parameter(weight, requires_grad=False), layer.bias
    return made.train(layer.training)


def held_bytes(parameter: nn.Parameter) -> int:
    """Of a parameter, the scales of a packed one among them."""
    state = getattr(parameter, "quant_state", None)
    return parameter.nbytes + (0 if state is None else state.absmax.nbytes)


def unpacked_bytes(parameter: nn.Parameter) -> int:
    """Of a packed parameter while it is multiplied with; of any other none, it is there anyway."""
    state = getattr(parameter, "quant_state", None)
    return 0 if state is None else state.shape.numel() * state.dtype.itemsize


def four_bit_library() -> Any:
    """The package ``bitsandbytes``, its product among those whose operations are counted.

    Raises:
        MissingExtraError: if it is not installed.
    """
    library = require("bitsandbytes", "qlora")
    product = torch.ops.bitsandbytes.gemm_4bit
    if product not in flop_registry:
        register_flop_formula(product)(_flops_of_product)
    return library


def _to_be_packed(weight: torch.Tensor) -> Any:
    library = four_bit_library()
    settings = {"quant_type": _KIND, "blocksize": _SHARE_A_SCALE, "compress_statistics": False}
    if not weight.is_meta:
        return library.nn.Params4bit(weight.data, **settings)
    scales = torch.empty(-(-weight.numel() // _SHARE_A_SCALE), device="meta")
    state = library.functional.QuantState(
        scales, shape=weight.shape, blocksize=_SHARE_A_SCALE, quant_type=_KIND, dtype=weight.dtype
    )
    packed = torch.empty((weight.numel() + 1) // 2, 1, dtype=torch.uint8, device="meta")
    return library.nn.Params4bit(packed, quant_state=state, bnb_quantized=True, **settings)


def _flops_of_product(
    inputs: tuple[int, ...], packed: tuple[int, ...], shape: tuple[int, ...], *_: Any, **__: Any
) -> int:
    """Multiplications and additions of inputs, (..., D_in), with a weight of shape (D_out, D_in)."""
    return 2 * torch.Size(inputs).numel() * shape[0]
