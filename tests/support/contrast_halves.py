"""Contrast of given vectors, a half of them in each of two processes."""

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.distributed.gather import GatheredGradient, gather_rows
from kinema.distributed.world import joined_world, rank
from kinema.training.contrastive import symmetric_info_nce


def contrast(
    media: Tensor, text: Tensor, temperature: Tensor, ids: Tensor, gradient: GatheredGradient
) -> dict[str, Tensor]:
    """Loss, and its gradients with respect to what this process holds."""
    learned = [tensor.clone().requires_grad_() for tensor in (media, text, temperature)]
    rows = [gather_rows(F.normalize(side, dim=-1), gradient=gradient) for side in learned[:2]]
    loss = symmetric_info_nce(*rows, 1 / learned[2], gather_rows(ids)).loss
    loss.backward()
    names = ("media", "text", "temperature")
    return {"loss": loss.detach(), **{name: tensor.grad for name, tensor in zip(names, learned, strict=True)}}


def contrast_halves(inputs: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """For both kinds of gradient what this process finds in its half."""
    with joined_world("cpu"):
        own = [inputs[f"rank{rank()}.{name}"] for name in ("vision_proj", "text_proj")]
        ids = inputs[f"rank{rank()}.idx"]
        return {kind: contrast(*own, inputs["temp"], ids, kind) for kind in ("local", "sum")}


def contrast_whole(inputs: dict[str, Tensor], world_size: int) -> dict[str, Tensor]:
    """The same in one process that holds all."""
    media, text, ids = (
        torch.cat([inputs[f"rank{index}.{name}"] for index in range(world_size)])
        for name in ("vision_proj", "text_proj", "idx")
    )
    return contrast(media, text, inputs["temp"], ids, "sum")
