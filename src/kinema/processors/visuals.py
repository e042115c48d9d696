"""Images and clips of one call to packed patches: sized together, resized frame by frame, pruned.

Frames come one at a time, so no more than a few of the original size are held. T frames, H W pixels, M
visual tokens.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import InputError
from kinema.processors.inputs import Visual, VisualInputs
from kinema.processors.patches import to_patches
from kinema.processors.pruning import NoPruning, Pruning
from kinema.processors.resize import ItemSize, Resampler, ResizeRule, resize_frames

Kind = Literal["image", "video", "audio", "depth", "thermal"]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One image or video before its pixels are read: what there will be."""

    kind: Kind
    name: str
    """What reports call it: a file name, or where the pixels came from."""
    times_s: tuple[float | None, ...]
    """Of each frame that is planned; None where no time is known."""
    height: int
    width: int


class ClipFrame(NamedTuple):
    """One frame as it is read."""

    clip: int
    """Which of the clips of the call."""
    time_s: float | None
    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB."""


@dataclass(frozen=True, kw_only=True)
class VisualItem:
    """What became of one image or video: for prompts and for reports."""

    kind: Kind
    name: str
    times_s: tuple[float | None, ...]
    """Of each frame."""
    original_size: tuple[int, int]
    """(H, W) pixels before it was resized."""
    grid_thw: tuple[int, int, int]
    """Frames, rows and columns of patches."""
    merge_size: int
    tokens_per_frame: tuple[int, ...]
    """Visual tokens that are left of each frame after pruning."""
    class_tokens: int = 0
    """Tokens of each frame beside those of its patches."""
    frames_together: int = 1
    """Frames that the encoder cannot take apart."""
    fixed_tokens: int | None = None
    """Visual tokens of the item where their number does not depend on its patches; ``tokens_per_frame`` then
    is of each view that is made of it."""

    @property
    def num_tokens(self) -> int:
        """Visual tokens before pruning."""
        if self.fixed_tokens is not None:
            return self.fixed_tokens
        frames, rows, columns = self.grid_thw
        return frames * ((rows // self.merge_size) * (columns // self.merge_size) + self.class_tokens)


@dataclass(frozen=True, kw_only=True)
class EncodedVisuals:
    """All images and videos of one call."""

    items: tuple[VisualItem, ...]
    inputs: Visual

    def frames(self, index: int) -> NDArray[np.uint8]:
        """What the model sees of an item, (T, H, W, 3), pruned blocks in mid-grey."""
        return self.inputs.frames(index)


def measure_clips(
    clips: Sequence[Clip], merge_sizes: Sequence[int], *, patch_size: int, resize: ResizeRule
) -> tuple[VisualItem, ...]:
    """What ``encode_clips`` would make of clips if it pruned nothing, from their sizes alone."""
    sizes = _sizes(clips, merge_sizes)
    items = []
    for clip, size, (height, width) in zip(clips, sizes, resize(sizes, patch_size), strict=True):
        rows, columns = height // patch_size, width // patch_size
        items.append(
            VisualItem(
                kind=clip.kind,
                name=clip.name,
                times_s=clip.times_s,
                original_size=(clip.height, clip.width),
                grid_thw=(size.num_frames, rows, columns),
                merge_size=size.merge_size,
                tokens_per_frame=(rows * columns // size.merge_size**2,) * size.num_frames,
            )
        )
    return tuple(items)


def encode_clips(
    clips: Sequence[Clip],
    frames: Iterable[ClipFrame],
    merge_sizes: Sequence[int],
    *,
    patch_size: int,
    resize: ResizeRule,
    resampler: Resampler,
    pruning: Pruning,
) -> EncodedVisuals:
    """Resize, cut and prune the images and videos of one call as they are read.

    Args:
        clips: at least one, in the order of their placeholders.
        frames: pixels of all clips, those of one clip in order. There may be fewer than planned, where a
            file is damaged, but at least one a clip.
        merge_sizes: of each clip.
        patch_size: p.
        resize: gives all sizes of the call at once.
        resampler: see ``resize_frames``.
        pruning: decides on float32 pixels, so a batch is pruned as its members are.

    Raises:
        InputError: if a clip gives no frame, more than planned, or frames of different sizes.
    """
    targets = resize(_sizes(clips, merge_sizes), patch_size)
    resized = [_Resized(clip, *target, resampler) for clip, target in zip(clips, targets, strict=True)]
    for frame in frames:
        resized[frame.clip].put(frame)
    rows, times, grids = [], [], []
    for clip, merge_size in zip(resized, merge_sizes, strict=True):
        times_s, pixels = clip.finish()
        rows.append(to_patches(pixels, patch_size=patch_size, merge_size=merge_size))
        times.append(times_s)
        grids.append((len(pixels), pixels.shape[1] // patch_size, pixels.shape[2] // patch_size))
    pixel_values = torch.cat(rows) if len(rows) > 1 else rows[0]
    grid_thw, merges = torch.tensor(grids), torch.tensor(list(merge_sizes))
    keep = pruning(pixel_values, grid_thw, merges)
    inputs = VisualInputs(
        pixel_values=pixel_values,
        grid_thw=grid_thw,
        merge_sizes=merges,
        keep_mask=None if isinstance(pruning, NoPruning) else keep,
    )
    masks = keep.split(inputs.tokens_per_item.tolist())
    items = tuple(map(_describe, clips, times, grids, merge_sizes, masks))
    return EncodedVisuals(items=items, inputs=inputs)


def _sizes(clips: Sequence[Clip], merge_sizes: Sequence[int]) -> list[ItemSize]:
    return [
        ItemSize(len(clip.times_s), clip.height, clip.width, merge_size)
        for clip, merge_size in zip(clips, merge_sizes, strict=True)
    ]


class _Resized:
    """Frames of one clip at their new size."""

    def __init__(self, clip: Clip, height: int, width: int, resampler: Resampler) -> None:
        self._clip = clip
        self._resampler = resampler
        self._pixels = np.empty((len(clip.times_s), height, width, 3), np.uint8)
        self._times_s: list[float | None] = []
        self._waiting: list[NDArray[np.uint8]] = []  # originals, as many as there are threads to resize them

    def put(self, frame: ClipFrame) -> None:
        planned, name = self._clip.times_s, self._clip.name
        if len(self._times_s) == len(planned):
            raise InputError(f"{name}: gives more than the {len(planned)} frames planned.")
        size = (self._clip.height, self._clip.width, 3)
        if frame.pixels.shape != size:
            raise InputError(
                f"{name}: frame {len(self._times_s)} is {frame.pixels.shape}, not {size} as the first. "
                "Frames of one video or stream need one size."
            )
        self._times_s.append(frame.time_s)
        self._waiting.append(frame.pixels)
        if len(self._waiting) >= torch.get_num_threads():
            self._resize_waiting()

    def finish(self) -> tuple[tuple[float | None, ...], NDArray[np.uint8]]:
        """Times (T,) and pixels (T, H, W, 3) of the frames that came."""
        if not self._times_s:
            raise InputError(f"{self._clip.name}: gives no frame.")
        self._resize_waiting()
        return tuple(self._times_s), self._pixels[: len(self._times_s)]

    def _resize_waiting(self) -> None:
        if self._waiting:
            end = len(self._times_s)
            _, height, width, _ = self._pixels.shape
            frames = np.stack(self._waiting)
            resized = resize_frames(frames, height, width, resampler=self._resampler)
            self._pixels[end - len(frames) : end] = resized
            self._waiting.clear()


def _describe(
    clip: Clip, times_s: tuple[float | None, ...], grid: tuple[int, int, int], merge_size: int, keep: Tensor
) -> VisualItem:
    return VisualItem(
        kind=clip.kind,
        name=clip.name,
        times_s=times_s,
        original_size=(clip.height, clip.width),
        grid_thw=grid,
        merge_size=merge_size,
        tokens_per_frame=tuple(keep.reshape(grid[0], -1).sum(-1).tolist()),
    )
