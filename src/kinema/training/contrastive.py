"""Pictures and texts drawn together where they belong together, and apart where they do not."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from kinema.distributed.gather import gather_rows
from kinema.errors import ConfigError


class InfoNCE(NamedTuple):
    """A loss and the logits it is computed from."""

    loss: Tensor
    logits: Tensor
    """(B, B): row i is modality i against every text. Its transpose is every text against the modality."""


def symmetric_info_nce(modality: Tensor, text: Tensor, scale: Tensor, ids: Tensor | None = None) -> InfoNCE:
    """Mean of two cross-entropies: each row finds its text, and each text its row (arXiv 2103.00020, 2.3).

    Args:
        modality: (B, P), unit vectors; row i belongs to row i of ``text``.
        text: (B, P), unit vectors.
        scale: what cosines are multiplied by, the inverse of the temperature.
        ids: (B,), of what each row is about: rows of one id belong together, and share the target. None where
            each is about something else.

    Returns:
        Loss and logits, float32.
    """
    with torch.autocast(modality.device.type, enabled=False):
        logits = scale.float() * modality.float() @ text.float().T  # (B, B)
        own = torch.arange(len(logits), device=logits.device)
        if ids is not None:
            together = (ids[:, None] == ids).float()  # (B, B)
            own = together / together.sum(-1, keepdim=True)
        return InfoNCE((F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2, logits)


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """Symmetric InfoNCE over the batch of all processes (LanguageBind, arXiv 2310.01852).

    Asks for ``model.embed_pixels`` and ``model.embed_text``, which give unit vectors, and
    ``model.logit_scale``, the logarithm of the scale; takes ``PairInputs``.
    """

    max_scale: float = 100.0
    """The scale is held between 1 and this before each step, as the published training does after each."""
    chunk_size: int | None = None
    """Rows that go through the towers at a time; None takes all at once. Loss and gradients are those of the
    whole batch, in which every row is a negative to all others; memory is saved, and a second forward pass is
    the price. The published training does the same with cached features, but there the gradient of the scale
    counts once a chunk; here it counts once."""

    def __post_init__(self) -> None:
        if self.max_scale < 1 or (self.chunk_size is not None and self.chunk_size < 1):
            raise ConfigError(
                f"max_scale {self.max_scale} and chunk_size {self.chunk_size} must be at least 1."
            )

    def __call__(self, model: Any, inputs: Any) -> Tensor:
        """The loss of the rows of all processes; equal in each of them."""
        with torch.no_grad():
            model.logit_scale.clamp_(0.0, math.log(self.max_scale))
        modality = self._embed(model.embed_pixels, inputs.pixel_values)
        text = self._embed(model.embed_text, inputs.input_ids)
        return symmetric_info_nce(gather_rows(modality), gather_rows(text), model.logit_scale.exp()).loss

    def _embed(self, embed: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        if self.chunk_size is None or len(rows) <= self.chunk_size:
            return embed(rows)
        parts = [checkpoint(embed, chunk, use_reentrant=False) for chunk in rows.split(self.chunk_size)]
        return torch.cat(parts)
