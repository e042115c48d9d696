"""Images and clips of one call to packed patches: sized together, resized frame by frame, pruned.

Frames come one at a time, so no more than a few of the original size are held. T frames, H W pixels, M
visual tokens.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import InputError
from kinema.processors.inputs import VisualInputs
from kinema.processors.patches import from_patches, to_patches
from kinema.processors.pruning import NoPruning, Pruning
from kinema.processors.resize import ItemSize, Resampler, ResizeRule, resize_frames

Kind = Literal["image", "video"]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One image or video whose size is known and whose frames can be read when they are wanted."""

    kind: Kind
    name: str
    """What reports call it: a file name, or where the pixels came from."""
    times_s: tuple[float | None, ...]
    """Of each frame that is planned; None where no time is known."""
    height: int
    width: int
    read: Callable[[], Iterable[tuple[float | None, NDArray[np.uint8]]]]
    """Gives the time and the (H, W, 3) pixels of each frame; fewer than planned where a file is damaged."""


@dataclass(frozen=True, kw_only=True)
class VisualItem:
    """What became of one image or video: for prompts and for reports."""

    kind: Kind
    name: str
    times_s: tuple[float | None, ...]
    """Of each frame."""
    grid_thw: tuple[int, int, int]
    """Frames, rows and columns of patches."""
    merge_size: int
    tokens_per_frame: tuple[int, ...]
    """Visual tokens that are left of each frame after pruning."""


@dataclass(frozen=True, kw_only=True)
class EncodedVisuals:
    """All images and videos of one call."""

    items: tuple[VisualItem, ...]
    inputs: VisualInputs

    def frames(self, index: int) -> NDArray[np.uint8]:
        """What the model sees of an item, (T, H, W, 3), pruned blocks in mid-grey."""
        item = self.items[index]
        patches = self.inputs.grid_thw.prod(-1)
        start = int(patches[:index].sum())
        rows = self.inputs.pixel_values[start : start + int(patches[index])].clone()
        if self.inputs.keep_mask is not None:
            tokens = self.inputs.tokens_per_item
            first = int(tokens[:index].sum())
            keep = self.inputs.keep_mask[first : first + int(tokens[index])]
            rows[~keep.repeat_interleave(item.merge_size**2)] = 0.0
        return from_patches(rows, item.grid_thw, merge_size=item.merge_size)


def encode_clips(
    clips: Sequence[Clip],
    merge_sizes: Sequence[int],
    *,
    patch_size: int,
    resize: ResizeRule,
    resampler: Resampler,
    pruning: Pruning,
) -> EncodedVisuals:
    """Read, resize, cut and prune the images and videos of one call.

    Args:
        clips: at least one, in the order of their placeholders.
        merge_sizes: of each clip.
        patch_size: p.
        resize: gives all sizes of the call at once.
        resampler: see ``resize_frames``.
        pruning: decides on float32 pixels, so a batch is pruned as its members are.

    Raises:
        InputError: if a clip gives no frame, more than planned, or frames of different sizes.
    """
    sizes = [
        ItemSize(len(clip.times_s), clip.height, clip.width, merge_size)
        for clip, merge_size in zip(clips, merge_sizes, strict=True)
    ]
    rows, times, grids = [], [], []
    for clip, size, target in zip(clips, sizes, resize(sizes, patch_size), strict=True):
        times_s, frames = _read_resized(clip, *target, resampler)
        rows.append(to_patches(frames, patch_size=patch_size, merge_size=size.merge_size))
        times.append(times_s)
        grids.append((len(frames), target[0] // patch_size, target[1] // patch_size))
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


_FRAMES_AT_ONCE = 8
"""Original frames held while they are resized, by several threads."""


def _read_resized(
    clip: Clip, height: int, width: int, resampler: Resampler
) -> tuple[tuple[float | None, ...], NDArray[np.uint8]]:
    times_s: list[float | None] = []
    frames = np.empty((len(clip.times_s), height, width, 3), np.uint8)
    originals = _checked(clip)
    while group := list(islice(originals, _FRAMES_AT_ONCE)):
        resized = resize_frames(np.stack([frame for _, frame in group]), height, width, resampler=resampler)
        frames[len(times_s) : len(times_s) + len(group)] = resized
        times_s += [time_s for time_s, _ in group]
    return tuple(times_s), frames[: len(times_s)]


def _checked(clip: Clip) -> Iterator[tuple[float | None, NDArray[np.uint8]]]:
    num_read = 0
    for time_s, frame in clip.read():
        num_read += 1
        if num_read > len(clip.times_s):
            raise InputError(f"{clip.name}: gives more than the {len(clip.times_s)} frames planned.")
        if frame.shape != (clip.height, clip.width, 3):
            raise InputError(
                f"{clip.name}: frame {num_read - 1} is {frame.shape}, not {(clip.height, clip.width, 3)} "
                "as the first. Frames of one video or stream need one size."
            )
        yield time_s, frame
    if num_read == 0:
        raise InputError(f"{clip.name}: gives no frame.")


def _describe(
    clip: Clip, times_s: tuple[float | None, ...], grid: tuple[int, int, int], merge_size: int, keep: Tensor
) -> VisualItem:
    return VisualItem(
        kind=clip.kind,
        name=clip.name,
        times_s=times_s,
        grid_thw=grid,
        merge_size=merge_size,
        tokens_per_frame=tuple(keep.reshape(grid[0], -1).sum(-1).tolist()),
    )
