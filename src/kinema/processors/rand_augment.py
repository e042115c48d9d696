"""RandAugment for clips: a few changes of colours and places, drawn once and made to every frame alike.

RandAugment (arXiv 1909.13719) as timm has it, whose stronger levels change more, and as InternVideo2 is
fine-tuned with it (OpenGVLab/InternVideo ``rand_augment.py``). What is called ``rand-m7-n4-mstd0.5-inc1``
there is ``RandAugment(magnitude=7, num_changes=4, spread=0.5)``. Pillow makes the changes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from kinema.errors import ConfigError

Picture = Image.Image

HIGHEST_LEVEL = 10.0
"""Where every change is strongest."""

_GREY = (128, 128, 128)
"""What comes into a frame from beyond its edges."""


class Change(NamedTuple):
    """One change, drawn."""

    name: str
    """A key of ``CHANGES``."""
    strength: float
    """From -1 to 1; the sign says which way, where there are two."""


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """Which changes, and how strong; the defaults are those of InternVideo2's fine-tuning."""

    magnitude: float = 7.0
    """Mean level, from 0 to ``HIGHEST_LEVEL``."""
    num_changes: int = 4
    """Drawn for a clip, the same one perhaps twice."""
    spread: float = 0.5
    """Deviation of the level of each change."""
    share: float = 0.5
    """How often a drawn change is made."""

    def __post_init__(self) -> None:
        if not 0 <= self.magnitude <= HIGHEST_LEVEL or not 0 <= self.share <= 1:
            raise ConfigError(
                f"magnitude goes from 0 to {HIGHEST_LEVEL:g} and share from 0 to 1, got {self.magnitude} and "
                f"{self.share}."
            )
        if self.num_changes < 1 or self.spread < 0:
            raise ConfigError(
                f"num_changes must be at least 1 and spread 0 or more, got {self.num_changes} and "
                f"{self.spread}."
            )

    def __call__(self, frames: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Change a clip, (T, H, W, 3) to the same."""
        return change_clip(frames, self.draw(rng))

    def draw(self, rng: np.random.Generator) -> list[Change]:
        """What is done to a clip, in order."""
        names = rng.choice(list(CHANGES), self.num_changes)
        return [self._drawn(str(name), rng) for name in names if rng.random() < self.share]

    def _drawn(self, name: str, rng: np.random.Generator) -> Change:
        level = float(np.clip(rng.normal(self.magnitude, self.spread), 0.0, HIGHEST_LEVEL))
        return Change(name, rng.choice((-1.0, 1.0)) * level / HIGHEST_LEVEL)


def change_clip(frames: NDArray[np.uint8], changes: list[Change]) -> NDArray[np.uint8]:
    """Make changes to every frame of (T, H, W, 3)."""
    if not changes:
        return frames
    return np.stack([_changed(Image.fromarray(frame), changes) for frame in frames])


def _changed(picture: Picture, changes: list[Change]) -> NDArray[np.uint8]:
    for change in changes:
        picture = CHANGES[change.name](picture, change.strength)
    return np.asarray(picture)


def _posterize(picture: Picture, strength: float) -> Picture:
    """Keep the upper 4 bits of a level, or fewer; none at all where it is strongest, as Pillow before 13."""
    step = 2 ** (4 + int(4 * abs(strength)))
    return picture.point([level // step * step for level in range(256)] * 3)


def _solarize(picture: Picture, strength: float) -> Picture:
    return ImageOps.solarize(picture, 256 - int(256 * abs(strength)))


def _solarize_add(picture: Picture, strength: float) -> Picture:
    """Brighten the darker half of the levels."""
    added = int(110 * abs(strength))
    table = [min(255, level + added) if level < 128 else level for level in range(256)]
    return picture.point(table * 3)


def _enhanced(kind: Callable[[Picture], ImageEnhance._Enhance]) -> Callable[[Picture, float], Picture]:
    return lambda picture, strength: kind(picture).enhance(1 + 0.9 * strength)


def _rotate(picture: Picture, strength: float) -> Picture:
    return picture.rotate(30 * strength, resample=Image.Resampling.BICUBIC, fillcolor=_GREY)


def _sheared_x(picture: Picture, strength: float) -> Picture:
    return _moved(picture, (1, 0.3 * strength, 0, 0, 1, 0))


def _sheared_y(picture: Picture, strength: float) -> Picture:
    return _moved(picture, (1, 0, 0, 0.3 * strength, 1, 0))


def _shifted_x(picture: Picture, strength: float) -> Picture:
    return _moved(picture, (1, 0, 0.45 * strength * picture.width, 0, 1, 0))


def _shifted_y(picture: Picture, strength: float) -> Picture:
    return _moved(picture, (1, 0, 0, 0, 1, 0.45 * strength * picture.height))


def _moved(picture: Picture, matrix: tuple[float, ...]) -> Picture:
    return picture.transform(
        picture.size,
        Image.Transform.AFFINE,
        matrix,
        resample=Image.Resampling.BICUBIC,
        fillcolor=_GREY,
    )


CHANGES: Mapping[str, Callable[[Picture, float], Picture]] = {
    "auto_contrast": lambda picture, _: ImageOps.autocontrast(picture),
    "equalize": lambda picture, _: ImageOps.equalize(picture),
    "invert": lambda picture, _: ImageOps.invert(picture),
    "rotate": _rotate,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "colour": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "shear_x": _sheared_x,
    "shear_y": _sheared_y,
    "shift_x": _shifted_x,
    "shift_y": _shifted_y,
}
"""What may be done to a frame, and how strongly, from -1 to 1."""
