"""Weights of a model that starts from nothing."""

import torch
from torch import nn


def init_weights(model: nn.Module, seed: int) -> None:
    """Draw every matrix anew, in place; norms are left at one and biases go to zero.

    Linear layers keep the variance of their input; those that write into a residual stream are scaled down by
    the root of their number, so that the stream does not grow with depth (as in GPT-2). Embeddings are small.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02, generator=generator)
        elif isinstance(module, nn.Linear):
            depth = _num_layers(model, name)
            scale = (2 * depth) ** -0.5 if name.endswith((".out", ".down", ".mlp.fc2")) else 1.0
            nn.init.normal_(module.weight, std=scale * module.in_features**-0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _num_layers(model: nn.Module, name: str) -> int:
    """Layers of the stack that a module is in; 1 outside of one."""
    if ".layers." not in name:
        return 1
    stack = model.get_submodule(name.split(".layers.")[0] + ".layers")
    return len(list(stack.children()))
