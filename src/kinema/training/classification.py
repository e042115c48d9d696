"""Classes of clips, learned from clips that are mixed with one another. B clips, T frames, K classes."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ClipMixing:
    """Each clip is mixed with another of its batch, and so are their classes.

    All of it a little (mixup, arXiv 1710.09412), or a rectangle of every frame wholly (CutMix, arXiv
    1905.04899), by a coin for the whole batch. Clip i meets clip B - 1 - i.
    """

    mixup_alpha: float = 0.8
    cutmix_alpha: float = 1.0
    """Of the Beta distributions from which the share of a clip's own is drawn; the defaults are
    InternVideo2's."""
    cutmix_share: float = 0.5
    """How often the coin says CutMix."""

    def __post_init__(self) -> None:
        if min(self.mixup_alpha, self.cutmix_alpha) <= 0 or not 0 <= self.cutmix_share <= 1:
            raise ConfigError(
                f"alphas must be above 0 and cutmix_share from 0 to 1, got {self.mixup_alpha}, "
                f"{self.cutmix_alpha} and {self.cutmix_share}."
            )

    def __call__(self, pixel_values: Tensor) -> tuple[Tensor, float]:
        """The mixed clips, (B, T, 3, H, W), and the share of its own that each has kept.

        Drawn with torch's own generator.
        """
        if torch.rand(()).item() < self.cutmix_share:
            return _cut(pixel_values, _beta(self.cutmix_alpha))
        share = _beta(self.mixup_alpha)
        return share * pixel_values + (1 - share) * pixel_values.flip(0), share


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Cross-entropy of clips' classes.

    Asks for a model that gives logits of ``pixel_values``; takes ``LabelledClips``.
    """

    label_smoothing: float = 0.1
    """Share of the target that all classes get alike."""
    mixing: ClipMixing | None = None

    def __call__(self, model: Any, inputs: Any) -> Tensor:
        """The mean over clips, float32."""
        if self.mixing is None:
            return self._cross_entropy(model(inputs.pixel_values), inputs.labels)
        pixels, share = self.mixing(inputs.pixel_values)
        logits = model(pixels)
        own, other = (
            self._cross_entropy(logits, labels) for labels in (inputs.labels, inputs.labels.flip(0))
        )
        return share * own + (1 - share) * other

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)


def _cut(pixel_values: Tensor, share: float) -> tuple[Tensor, float]:
    """A rectangle from the other clip, of the asked share of the area as far as it lies in the frame."""
    height, width = pixel_values.shape[-2:]
    side = (1 - share) ** 0.5
    rows, columns = (_span(length, int(length * side)) for length in (height, width))
    mixed = pixel_values.clone()
    mixed[..., rows, columns] = pixel_values.flip(0)[..., rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - area / (height * width)


def _span(length: int, wanted: int) -> slice:
    """A stretch around a place drawn anywhere, cut at the ends."""
    middle = int(torch.randint(length, ()))
    return slice(max(middle - wanted // 2, 0), min(middle + wanted // 2, length))


def _beta(alpha: float) -> float:
    return torch.distributions.Beta(alpha, alpha).sample().item()
