"""Media of one conversation to items for towers: filled to whole windows, and merged to keep a budget.

T frames, S side of a square, m merge size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd

import torch
from torch import Tensor

from kinema.errors import InputError, OutOfBudgetError
from kinema.media.rules import linspace_truncated
from kinema.processors.clip_pixels import CLIPPixelsConfig, image_pixels, video_pixels
from kinema.processors.read import MediaReader
from kinema.processors.tower_inputs import TowerInputs, TowerItem
from kinema.processors.visuals import Clip, EncodedVisuals, Kind, VisualItem


@dataclass(frozen=True, kw_only=True)
class TowerSight:
    """What the tower of one modality makes of a frame."""

    grid: tuple[int, int]
    """Rows and columns of patches."""
    has_class_token: bool = False
    """Whether the language model reads the class token of each frame."""
    window: int | None = None
    """Frames that the tower sees together; None for one that sees each alone."""


def fill_windows(num_frames: int, window: int | None) -> list[int]:
    """Which frames are seen, so that every window is full: the last one repeats frames, evenly.

    That is what a video model is trained to see of a short clip: Video-LLaVA (arXiv 2311.10122) draws its 8
    frames by ``linspace_truncated``, which repeats some where there are fewer.

    Args:
        num_frames: T, how many there are.
        window: frames seen together; None takes all as they are.
    """
    if window is None:
        return list(range(num_frames))
    first = (num_frames - 1) // window * window  # of the last window
    rest = linspace_truncated(num_frames - first, window) + first
    return [*range(first), *rest.tolist()]


def measure_towers(
    clips: Sequence[Clip], sights: Mapping[Kind, TowerSight], *, max_tokens: int | None
) -> tuple[VisualItem, ...]:
    """What ``encode_towers`` would give for clips, from their numbers of frames alone.

    Raises:
        OutOfBudgetError: if the tokens cannot be brought below ``max_tokens``.
    """
    items = [_describe(clip, clip.times_s, sights[clip.kind]) for clip in clips]
    return _merged(items, max_tokens)


def encode_towers(
    reader: MediaReader,
    sights: Mapping[Kind, TowerSight],
    *,
    pixels: CLIPPixelsConfig,
    frames_as_images: bool,
    max_tokens: int | None,
) -> EncodedVisuals:
    """Read the clips of a reader, each frame made a square as it comes.

    Args:
        reader: with at least one clip.
        sights: of each kind of clip.
        pixels: how pictures become squares, and how large those are.
        frames_as_images: whether frames of videos become squares as pictures do; they are never padded.
        max_tokens: most visual tokens of all clips; None for no limit.

    Raises:
        InputError: if a clip gives no frame.
        OutOfBudgetError: if the tokens cannot be brought below ``max_tokens``.
    """
    cropped = replace(pixels, image_fit="crop")
    squares: list[list[Tensor]] = [[] for _ in reader.clips]
    times: list[list[float | None]] = [[] for _ in reader.clips]
    for frame in reader.frames():
        if reader.clips[frame.clip].kind == "image":
            square = image_pixels(frame.pixels, pixels)
        elif frames_as_images:
            square = image_pixels(frame.pixels, cropped)
        else:
            square = video_pixels([frame.pixels], size=pixels.size)[0]
        squares[frame.clip].append(square)
        times[frame.clip].append(frame.time_s)
    for clip, own in zip(reader.clips, squares, strict=True):
        if not own:
            raise InputError(f"{clip.name}: gives no frame.")
    described = [
        _describe(clip, own, sights[clip.kind]) for clip, own in zip(reader.clips, times, strict=True)
    ]
    items = _merged(described, max_tokens)
    towers = [
        TowerItem(
            modality=item.kind,
            pixel_values=torch.stack(
                [own[index] for index in fill_windows(len(own), sights[item.kind].window)]
            ),
            grid=item.grid_thw[1:],
            merge_size=item.merge_size,
            has_class_token=item.class_tokens > 0,
        )
        for item, own in zip(items, squares, strict=True)
    ]
    return EncodedVisuals(items=items, inputs=TowerInputs(items=tuple(towers)))


def _describe(clip: Clip, times_s: Sequence[float | None], sight: TowerSight) -> VisualItem:
    """An item whose tokens are not merged yet."""
    seen = fill_windows(len(times_s), sight.window)
    rows, columns = sight.grid
    return VisualItem(
        kind=clip.kind,
        name=clip.name,
        times_s=tuple(times_s[index] for index in seen),
        original_size=(clip.height, clip.width),
        grid_thw=(len(seen), rows, columns),
        merge_size=1,
        tokens_per_frame=(),
        class_tokens=int(sight.has_class_token),
        frames_together=sight.window or 1,
    )


def _merged(items: Sequence[VisualItem], max_tokens: int | None) -> tuple[VisualItem, ...]:
    """Items with the smallest merge size, one for all, that keeps the budget."""
    sides = [side for item in items for side in item.grid_thw[1:]]
    common = gcd(*sides)
    for merge_size in (size for size in range(1, common + 1) if common % size == 0):
        merged = [replace(item, merge_size=merge_size) for item in items]
        total = sum(item.num_tokens for item in merged)
        if max_tokens is None or total <= max_tokens:
            return tuple(
                replace(item, tokens_per_frame=(item.num_tokens // len(item.times_s),) * len(item.times_s))
                for item in merged
            )
    frames = sum(item.grid_thw[0] for item in items)
    raise OutOfBudgetError(
        f"{frames} images and frames give {total} visual tokens at least, but max_tokens is {max_tokens}. "
        "Take fewer frames, or allow more tokens."
    )
