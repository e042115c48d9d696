"""Which visual tokens of a video the language model gets to see.

A block is the m x m patches of one token. A rule compares each block with an earlier one at the same place
and drops it where too little has changed, so the earlier block is kept and the later is pruned. The first
frame of a video is always kept whole, as are images and videos of one frame, and every frame keeps
``min_tokens_per_frame``.

T frames, K blocks a frame, P patches, M tokens before pruning, S items.

Units. ``pixel_values`` lie between -1 and 1, so one grey level of 0..255 is 2/255. The official distance is
255 x the mean absolute difference of ``pixel_values``: two official units are one grey level, and the
published threshold of 0.1 is a mean change of 0.05 grey levels. That drops (nearly) identical blocks only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from kinema.errors import ConfigError, InputError, OutOfBudgetError

OFFICIAL_UNITS_PER_LEVEL = 2.0
"""The official distance of two blocks that differ by one grey level everywhere."""


class Pruning(Protocol):
    """Chooses the tokens to keep from the pixels of a call."""

    def __call__(self, pixel_values: Tensor, grid_thw: Tensor, merge_sizes: Tensor) -> Tensor:
        """Mark the tokens to keep.

        Args:
            pixel_values: (P, 3·p·p), normalised, block-major; float32, as the threshold is close.
            grid_thw: (S, 3), patches of each item along time, height, width.
            merge_sizes: (S,).

        Returns:
            (M,) bool, the tokens of all items end to end.

        Raises:
            InputError: if the grid does not describe P patches.
        """
        ...


@dataclass(frozen=True)
class NoPruning:
    """Keep every token: training stages 1 and 2 of VideoLLaMA3."""

    def __call__(self, pixel_values: Tensor, grid_thw: Tensor, merge_sizes: Tensor) -> Tensor:
        """(M,) bool, all True."""
        return _mark_videos(pixel_values, grid_thw, merge_sizes, _keep_all)


@dataclass(frozen=True, kw_only=True)
class PreviousFramePruning:
    """The published rule: compare with the frame before, whether that was kept or not.

    The differential frame pruner of arXiv 2501.13106, as ``use_token_compression`` of
    DAMO-NLP-SG/VideoLLaMA3, commit 05cee23, has it. Slow drift is invisible to it: a change that stays
    below the threshold from each frame to the next is never seen, however far it goes.
    """

    threshold: float = 0.1
    """Official units; kept is what lies strictly above. 0.1 is 0.05 grey levels."""
    min_tokens_per_frame: int = 1
    """A frame with fewer keeps its first ones, from the top left."""

    def __post_init__(self) -> None:
        _check_settings(self.threshold, self.min_tokens_per_frame)

    def __call__(self, pixel_values: Tensor, grid_thw: Tensor, merge_sizes: Tensor) -> Tensor:
        """(M,) bool, see ``Pruning``."""
        return _mark_videos(pixel_values, grid_thw, merge_sizes, self._keep)

    def _keep(self, blocks: Tensor) -> Tensor:
        keep = distance_to_previous(blocks) > self.threshold
        keep[0] = True
        return torch.stack([_at_least(frame, self.min_tokens_per_frame) for frame in keep])


@dataclass(frozen=True, kw_only=True)
class LastKeptPruning:
    """Compare with the last block that was kept at the same place, so that slow drift adds up and is seen.

    What the language model holds for a place is then never further from the picture than the threshold. Ours;
    run-length tokenisation (arXiv 2411.05222) and the published rule compare with the frame before.
    """

    threshold_levels: float = 0.05
    """Mean absolute change in grey levels of 0..255; kept is what lies strictly above. 0.05 is the published
    threshold, 0.1 in official units."""
    min_tokens_per_frame: int = 1
    """A frame with fewer keeps its first ones, from the top left."""

    def __post_init__(self) -> None:
        _check_settings(self.threshold_levels, self.min_tokens_per_frame)

    def __call__(self, pixel_values: Tensor, grid_thw: Tensor, merge_sizes: Tensor) -> Tensor:
        """(M,) bool, see ``Pruning``."""
        return _mark_videos(pixel_values, grid_thw, merge_sizes, self._keep)

    def _keep(self, blocks: Tensor) -> Tensor:
        threshold = self.threshold_levels * OFFICIAL_UNITS_PER_LEVEL
        keep = torch.ones(blocks.shape[:2], dtype=torch.bool, device=blocks.device)
        last_kept = blocks[0].clone()  # (K, values)
        for index in range(1, len(blocks)):
            moved = _distance(blocks[index], last_kept) > threshold
            keep[index] = _at_least(moved, self.min_tokens_per_frame)
            last_kept[keep[index]] = blocks[index, keep[index]]
        return keep


@dataclass(frozen=True, kw_only=True)
class TokenBudgetPruning:
    """Keep at most so many tokens a call: ``LastKeptPruning`` with the threshold solved by bisection.

    Everything is kept where it fits. Otherwise the threshold is halved in on between 0 and 255 grey levels
    until it is known to ``resolution_levels``; the mask returned was seen to fit, and the same pixels give
    the same mask. The number kept need not fall steadily with the threshold, so a slightly lower one might
    fit too.
    """

    max_tokens: int
    """Most tokens kept, images and all videos of the call together."""
    min_tokens_per_frame: int = 1
    """A frame with fewer keeps its first ones, from the top left."""
    resolution_levels: float = 0.05
    """How closely the threshold is solved, in grey levels."""

    def __post_init__(self) -> None:
        _check_settings(self.resolution_levels, self.min_tokens_per_frame)
        if self.max_tokens < 1 or self.resolution_levels == 0:
            raise ConfigError(
                f"max_tokens and resolution_levels must be above 0, got {self.max_tokens} "
                f"and {self.resolution_levels}."
            )

    def __call__(self, pixel_values: Tensor, grid_thw: Tensor, merge_sizes: Tensor) -> Tensor:
        """(M,) bool, at most ``max_tokens`` of them True.

        Raises:
            InputError: if the grid does not describe P patches.
            OutOfBudgetError: if what is always kept is more than the budget.
        """
        keep = NoPruning()(pixel_values, grid_thw, merge_sizes)
        if len(keep) <= self.max_tokens:
            return keep
        low, high = 0.0, 255.0
        keep = self._at(high, pixel_values, grid_thw, merge_sizes)
        if keep.sum() > self.max_tokens:
            raise OutOfBudgetError(
                f"images, first frames and {self.min_tokens_per_frame} tokens of every other frame are "
                f"{int(keep.sum())} tokens, but the budget is {self.max_tokens}. Raise the budget, take "
                "fewer frames, or lower max_tokens of the resize rule so that a frame has fewer tokens."
            )
        while high - low > self.resolution_levels:
            middle = (low + high) / 2
            candidate = self._at(middle, pixel_values, grid_thw, merge_sizes)
            if candidate.sum() <= self.max_tokens:
                high, keep = middle, candidate
            else:
                low = middle
        return keep

    def _at(
        self, threshold_levels: float, pixel_values: Tensor, grid_thw: Tensor, merge_sizes: Tensor
    ) -> Tensor:
        rule = LastKeptPruning(
            threshold_levels=threshold_levels, min_tokens_per_frame=self.min_tokens_per_frame
        )
        return rule(pixel_values, grid_thw, merge_sizes)


PRUNING_RULES: dict[str, Callable[..., Pruning]] = {
    "none": NoPruning,
    "previous_frame": PreviousFramePruning,
    "last_kept": LastKeptPruning,
    "token_budget": TokenBudgetPruning,
}
"""Rules by the name that a config or the command line gives."""


def build_pruning(name: str, **settings: Any) -> Pruning:
    """Make a rule from its name in ``PRUNING_RULES`` and its fields.

    Raises:
        ConfigError: if there is no such rule, or it has no such field.
    """
    if name not in PRUNING_RULES:
        raise ConfigError(f"there is no pruning rule {name!r}; there are: {', '.join(PRUNING_RULES)}.")
    try:
        return PRUNING_RULES[name](**settings)
    except TypeError as error:
        raise ConfigError(f"pruning rule {name!r}: {error}.") from error


def distance_to_previous(blocks: Tensor) -> Tensor:
    """How much each block differs from the one before it in time.

    Args:
        blocks: (T, K, values), normalised pixels.

    Returns:
        (T, K) official units, 255 x the mean absolute difference; infinite in the first frame.
    """
    first = blocks.new_full(blocks.shape[1:2], torch.inf)
    later = [_distance(now, before) for before, now in pairwise(blocks)]
    return torch.stack([first, *later])


def split_blocks(pixel_values: Tensor, grid_thw: Tensor, merge_sizes: Tensor) -> list[Tensor]:
    """View packed patches as the blocks of each item.

    Args:
        pixel_values: (P, values), block-major.
        grid_thw: (S, 3).
        merge_sizes: (S,).

    Returns:
        S tensors (T, K, m² · values) without a copy.

    Raises:
        InputError: if the grid does not describe P patches.
    """
    patches_per_item = grid_thw.prod(-1).tolist()
    if sum(patches_per_item) != len(pixel_values):
        raise InputError(
            f"grid_thw {grid_thw.tolist()} describes {sum(patches_per_item)} patches, but pixel_values holds "
            f"{len(pixel_values)}."
        )
    items = pixel_values.split(patches_per_item)
    return [
        item.reshape(int(grid[0]), int(grid[1] * grid[2] // merge_size**2), -1)
        for item, grid, merge_size in zip(items, grid_thw, merge_sizes.tolist(), strict=True)
    ]


def _mark_videos(
    pixel_values: Tensor, grid_thw: Tensor, merge_sizes: Tensor, keep: Callable[[Tensor], Tensor]
) -> Tensor:
    items = split_blocks(pixel_values, grid_thw, merge_sizes)
    masks = [keep(blocks) if len(blocks) > 1 else _keep_all(blocks) for blocks in items]
    return torch.cat([mask.flatten() for mask in masks])


def _keep_all(blocks: Tensor) -> Tensor:
    return torch.ones(blocks.shape[:2], dtype=torch.bool, device=blocks.device)


def _distance(now: Tensor, before: Tensor) -> Tensor:
    return 255 * (now - before).abs().mean(-1)  # (K,)


def _at_least(keep: Tensor, min_tokens: int) -> Tensor:
    if keep.sum() < min_tokens:
        keep = keep.clone()
        keep[:min_tokens] = True
    return keep


def _check_settings(threshold: float, min_tokens_per_frame: int) -> None:
    if threshold < 0 or min_tokens_per_frame < 0:
        raise ConfigError(
            f"a threshold and min_tokens_per_frame cannot be negative, got {threshold} "
            f"and {min_tokens_per_frame}."
        )
