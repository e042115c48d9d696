"""Top-1 and top-5 of an action classifier that looks at every video several times. K classes, V views."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kinema.errors import InputError
from kinema.processors.views import ViewsConfig, read_views


@torch.inference_mode()
def class_probabilities(model: nn.Module, views: Tensor, *, batch_size: int = 4) -> Tensor:
    """What all views say together: the mean of their softmaxes, as InternVideo2's test merges them.

    Args:
        model: gives logits of (V, T, 3, S, S); in evaluation mode.
        views: of one video, on the CPU.
        batch_size: views that go through the model at a time.

    Returns:
        (K,) float32 on the CPU.
    """
    weight = next(model.parameters())
    parts = [
        model(part.to(device=weight.device, dtype=weight.dtype)).float().softmax(-1).cpu()
        for part in views.split(batch_size)
    ]
    return torch.cat(parts).mean(0)


def top_shares(probabilities: Tensor, labels: Tensor, *, ranks: Sequence[int] = (1, 5)) -> dict[int, float]:
    """How often the right class is among the most likely.

    Args:
        probabilities: (N, K).
        labels: (N,) int64.
        ranks: how many of the most likely count; of fewer classes, all.

    Returns:
        Share of the N videos for each rank.

    Raises:
        InputError: if there is no video.
    """
    if len(labels) == 0:
        raise InputError("there is no video to score.")
    order = probabilities.argsort(-1, descending=True)
    hits = order == labels[:, None]  # (N, K)
    return {rank: hits[:, :rank].any(-1).float().mean().item() for rank in ranks}


def recognise_videos(
    model: nn.Module, videos: Iterable[tuple[Any, int]], config: ViewsConfig, *, batch_size: int = 4
) -> Mapping[int, float]:
    """Top-1 and top-5 over videos and the numbers of their classes.

    Args:
        model: as for ``class_probabilities``.
        videos: what ``read_views`` opens, with its class.
        config: how each is looked at.
        batch_size: views at a time.

    Raises:
        InputError: if there is no video.
        MediaError: if one cannot be read.
    """
    found, labels = [], []
    for source, label in videos:
        found.append(class_probabilities(model, read_views(source, config), batch_size=batch_size))
        labels.append(label)
    probabilities = torch.stack(found) if found else torch.empty(0, 1)
    return top_shares(probabilities, torch.tensor(labels))
