"""Parameters that two modules have in common, held once."""

import torch
from torch import nn


def share_equal_parameters(first: nn.Module, second: nn.Module) -> int:
    """Let ``second`` hold the parameters of ``first`` wherever name, dtype, device and every value are equal.

    LanguageBind trained its video tower without touching what the image tower has, so that the two differ in
    the class embedding, the last norm and the temporal blocks only (arXiv 2310.01852; compared in
    Video-LLaVA issue 223). For modules that stay as they are: what is shared would learn for both.

    Returns:
        Bytes that are no longer held twice.
    """
    theirs, freed = dict(second.named_parameters()), 0
    for name, ours in first.named_parameters():
        other = theirs.get(name)
        if other is None or other is ours or not _equal(ours, other):
            continue
        path, _, leaf = name.rpartition(".")
        setattr(second.get_submodule(path), leaf, ours)
        freed += ours.nbytes
    return freed


def _equal(one: nn.Parameter, other: nn.Parameter) -> bool:
    alike = one.shape == other.shape and one.dtype == other.dtype and one.device == other.device
    return alike and not one.is_meta and torch.equal(one, other)
