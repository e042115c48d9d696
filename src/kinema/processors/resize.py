"""The size every picture and frame gets, and the resampling that brings it there.

A rule sees all items of a call at once, because the official one shares its budget over all of them.
Budgets count visual tokens, after merging. T frames, H W pixels, m merge size, F = patch size · m.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from kinema.errors import ConfigError, InputError

Resampler = Literal["pillow", "torch"]
"""Who resamples, see ``resize_frames``."""


class ItemSize(NamedTuple):
    """One image or video before it is resized."""

    num_frames: int
    height: int
    width: int
    merge_size: int


class ResizeRule(Protocol):
    """Chooses the (height, width) of every item of one call, multiples of F."""

    def __call__(self, items: Sequence[ItemSize], patch_size: int) -> list[tuple[int, int]]:
        """Sizes in the order of ``items``."""
        ...

    def with_max_tokens(self, max_tokens: int) -> "ResizeRule":
        """The same rule with another budget."""
        ...


@dataclass(frozen=True, kw_only=True)
class _TokenBudget:
    min_tokens: int = 16
    """An item is enlarged to at least this many tokens a frame."""
    max_tokens: int = 16384
    """Most tokens; over what they are counted is what tells the rules apart."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_tokens <= self.max_tokens:
            raise ConfigError(
                f"a resize rule needs 1 <= min_tokens <= max_tokens, got {self.min_tokens} "
                f"and {self.max_tokens}."
            )

    def with_max_tokens(self, max_tokens: int) -> Self:
        """The same rule with another budget."""
        return replace(self, max_tokens=max_tokens)


@dataclass(frozen=True, kw_only=True)
class OfficialResize(_TokenBudget):
    """The rule of the released models: one budget shared by all images and frames of a call.

    Source: ``image_processing_videollama3.py`` of DAMO-NLP-SG/VideoLLaMA3, commit 05cee23. The minimum is
    applied after the maximum and may exceed it. Items of different merge sizes in one call follow another
    rule, which has no minimum: ``_mixed_merge_sizes``.
    """

    def __call__(self, items: Sequence[ItemSize], patch_size: int) -> list[tuple[int, int]]:
        """Sizes in the order of ``items``.

        Raises:
            InputError: if an item has no pixels, the budget leaves less than a pixel a frame, or the mixed
                rule would shrink an item to nothing.
        """
        _check_items(items)
        if len({item.merge_size for item in items}) > 1:
            return self._mixed_merge_sizes(items, patch_size)
        num_frames = sum(item.num_frames for item in items)
        return [self._same_merge_size(item, num_frames, patch_size) for item in items]

    def _same_merge_size(self, item: ItemSize, num_frames: int, patch_size: int) -> tuple[int, int]:
        factor = patch_size * item.merge_size
        max_pixels = self.max_tokens * factor**2 // num_frames
        min_pixels = self.min_tokens * factor**2
        height, width = _nearest(item, factor)
        if height * width > max_pixels:
            height, width = _shrunk(item, factor, _ratio(item, max_pixels, num_frames))
        if height * width < min_pixels:
            height, width = _enlarged(item, factor, min_pixels)
        return height, width

    def _mixed_merge_sizes(self, items: Sequence[ItemSize], patch_size: int) -> list[tuple[int, int]]:
        tokens = 0
        for item in items:
            factor = patch_size * item.merge_size
            tokens += item.num_frames * math.ceil(item.height / factor) * math.ceil(item.width / factor)
        sizes = []
        for index, item in enumerate(items):
            factor = patch_size * item.merge_size
            if tokens > self.max_tokens:
                size = _shrunk(item, factor, math.sqrt(tokens / self.max_tokens))
            else:
                size = _nearest(item, factor)
            if 0 in size:
                raise InputError(
                    f"item {index}, {item.height}x{item.width} pixels (height x width), would become "
                    f"{size[0]}x{size[1]}: the official rule for images and videos together has no minimum. "
                    f"Crop or enlarge it to at least {factor} pixels a side, raise max_tokens from "
                    f"{self.max_tokens}, or use TransformersResize."
                )
            sizes.append(size)
        return sizes


@dataclass(frozen=True, kw_only=True)
class TransformersResize(_TokenBudget):
    """The rule of transformers 5.x ``video_llama_3``: the whole budget for every image and for every video.

    A video's budget is divided by its own number of frames. A size that is shrunk is not enlarged again, and
    never falls below F. It raises where one side is more than 200 times the other.
    """

    max_aspect_ratio: float = 200.0
    """Longest side over shortest side that is still accepted."""

    def __call__(self, items: Sequence[ItemSize], patch_size: int) -> list[tuple[int, int]]:
        """Sizes in the order of ``items``.

        Raises:
            InputError: if an item has no pixels, or is too long for its width.
        """
        _check_items(items)
        return [self._size(index, item, patch_size * item.merge_size) for index, item in enumerate(items)]

    def _size(self, index: int, item: ItemSize, factor: int) -> tuple[int, int]:
        longest, shortest = max(item.height, item.width), min(item.height, item.width)
        if longest / shortest > self.max_aspect_ratio:
            raise InputError(
                f"item {index} is {item.height}x{item.width} pixels; TransformersResize takes one side at "
                f"most {self.max_aspect_ratio:g} times the other. Crop it, or use OfficialResize."
            )
        max_pixels = self.max_tokens * factor**2 // item.num_frames
        height, width = _nearest(item, factor)
        if height * width > max_pixels:
            height, width = _shrunk(item, factor, _ratio(item, max_pixels, item.num_frames))
            return max(factor, height), max(factor, width)
        if height * width < self.min_tokens * factor**2:
            return _enlarged(item, factor, self.min_tokens * factor**2)
        return height, width


def resize_frames(
    frames: NDArray[np.uint8], height: int, width: int, *, resampler: Resampler = "pillow"
) -> NDArray[np.uint8]:
    """Resample frames, bicubic and antialiased, on 8-bit levels.

    ``"pillow"`` equals Pillow before version 13, with which the released models were trained: the width
    first, then the height. Every Pillow does that when it is asked for one pass at a time, because a pass
    ends in 8-bit levels. ``"torch"`` is what transformers uses by default; it differs by a level in less
    than 1 % of the values.

    Measured on one core, 1080 x 1920 to 336 x 616: 14 ms a frame with Pillow, 1.2 ms with torch, whose
    8-bit kernel rounds its weights to 16 bits and so cannot be exact. Pillow's 22-bit arithmetic as a
    float64 matrix product takes 137 ms for the width alone. So exact means Pillow, here on as many threads
    as torch uses.

    Args:
        frames: (T, H, W, 3) RGB.
        height: new H.
        width: new W.
        resampler: who resamples.

    Returns:
        (T, height, width, 3); ``frames`` itself where the size is right already.
    """
    if frames.shape[1:3] == (height, width):
        return frames
    if resampler == "torch":
        planes = torch.from_numpy(frames).permute(0, 3, 1, 2)
        resized = torch.nn.functional.interpolate(
            planes, size=(height, width), mode="bicubic", antialias=True
        )
        return resized.permute(0, 2, 3, 1).contiguous().numpy()

    out = np.empty((len(frames), height, width, 3), np.uint8)

    def resize_one(index: int) -> None:
        picture = Image.fromarray(frames[index])
        picture = picture.resize((width, picture.height), Image.Resampling.BICUBIC)
        out[index] = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))

    with ThreadPoolExecutor(max_workers=min(len(frames), torch.get_num_threads())) as pool:
        list(pool.map(resize_one, range(len(frames))))
    return out


def _check_items(items: Sequence[ItemSize]) -> None:
    for index, item in enumerate(items):
        if min(item) < 1:
            raise InputError(
                f"item {index} is empty: {item}. Every image and video needs a frame with pixels."
            )


def _nearest(item: ItemSize, factor: int) -> tuple[int, int]:
    return round(item.height / factor) * factor, round(item.width / factor) * factor


def _ratio(item: ItemSize, max_pixels: int, num_frames: int) -> float:
    if max_pixels == 0:
        raise InputError(
            f"{num_frames} frames leave less than a pixel of the budget for each. Raise max_tokens or take "
            "fewer frames."
        )
    return math.sqrt(item.height * item.width / max_pixels)


def _shrunk(item: ItemSize, factor: int, ratio: float) -> tuple[int, int]:
    height = math.floor(item.height / ratio / factor) * factor
    width = math.floor(item.width / ratio / factor) * factor
    return height, width


def _enlarged(item: ItemSize, factor: int, min_pixels: int) -> tuple[int, int]:
    ratio = math.sqrt(min_pixels / (item.height * item.width))
    return math.ceil(item.height * ratio / factor) * factor, math.ceil(item.width * ratio / factor) * factor
