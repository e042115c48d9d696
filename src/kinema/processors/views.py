"""A video looked at several times: clips spread over its time, squares spread over its longer side.

The test of InternVideo2's action recognition (arXiv 2403.15377, 4.1; OpenGVLab/InternVideo), such as "4x3":
four clips of three squares each, whose classes are averaged. V views, T frames, H W pixels, S side of the
square.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import ConfigError
from kinema.media import training_rules
from kinema.media.sample import Picks
from kinema.media.source import Source
from kinema.media.video import open_video
from kinema.processors.square_pixels import normalised

FrameRule = Literal["sparse", "ssv2", "dense"]
"""Frames of a clip are spread over the whole video, with the offsets of Kinetics or of Something-Something;
or each clip is a run of every few frames."""


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """How often, and at what, a video is looked at."""

    num_frames: int = 8
    num_clips: int = 4
    num_crops: int = 3
    size: int = 224
    """S, to which the shorter side of a frame is resized."""
    rule: FrameRule = "sparse"
    every: int = 4
    """Of ``dense``: how many frames apart."""

    def __post_init__(self) -> None:
        numbers = (self.num_frames, self.num_clips, self.num_crops, self.size, self.every)
        if min(numbers) < 1:
            raise ConfigError(f"frames, clips, crops, size and steps must be at least 1, got {numbers}.")


def read_views(source: Source | list[str], config: ViewsConfig) -> Tensor:
    """All views of a video; no frame is decoded twice.

    Args:
        source: a file, a folder or a list of images.
        config: which views.

    Returns:
        (V, T, 3, S, S), the squares of the first clip first.

    Raises:
        MediaError: if it cannot be read, or holds no video.
    """
    with open_video(source) as video:
        rows = clip_indices(len(video.timeline), config)
        picks = [Picks(row, row / video.timeline.rate) for row in rows]
        clips: list[list[np.ndarray]] = [[] for _ in picks]
        for number, _, pixels in video.iter_picks(picks):
            clips[number].append(pixels)
    return torch.cat([crop_views(np.stack(clip), config) for clip in clips])


def clip_indices(total: int, config: ViewsConfig) -> np.ndarray:
    """Which frames of ``total`` each clip shows, (num_clips, T)."""
    if config.rule == "sparse":
        return training_rules.sparse_test(total, config.num_frames, config.num_clips)
    if config.rule == "ssv2":
        return training_rules.ssv2_test(total, config.num_frames, config.num_clips)
    return training_rules.dense_test(total, config.num_frames, config.every, config.num_clips)


def crop_views(frames: np.ndarray, config: ViewsConfig) -> Tensor:
    """Squares along the longer side of a clip, first and last at its ends; a single one in the middle.

    Args:
        frames: (T, H, W, 3) uint8.
        config: how many, and how large.

    Returns:
        (num_crops, T, 3, S, S), normalised.
    """
    levels = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    size, shorter = config.size, min(levels.shape[-2:])
    height, width = (max(size, round(side * size / shorter)) for side in levels.shape[-2:])
    levels = F.interpolate(levels, (height, width), mode="bilinear", align_corners=False)
    room = max(height, width) - size
    starts = [room // 2]
    if config.num_crops > 1:
        starts = [int(room / (config.num_crops - 1) * index) for index in range(config.num_crops)]
    if height >= width:
        squares = [levels[..., start : start + size, :size] for start in starts]
    else:
        squares = [levels[..., :size, start : start + size] for start in starts]
    return normalised(torch.stack(squares))
