"""Frames of a clip as training draws them, and the fixed ones of validation. T frames, H W pixels."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kinema.errors import ConfigError, MediaError
from kinema.media import training_rules
from kinema.media.frames import FrameBatch
from kinema.media.rules import internvideo2_middle
from kinema.media.sample import Picks, SamplingRequest
from kinema.media.timeline import Timeline
from kinema.media.video import open_video
from kinema.processors.messages import VideoPart

DrawRule = Literal["sparse", "ssv2", "dense", "stage1", "stage2"]
"""A frame of each of some stretches, as Kinetics, Something-Something and both stages of InternVideo2's
pre-training cut them; or a run of every few frames."""


@dataclass(frozen=True, kw_only=True)
class FrameDraw:
    """Which frames of a clip are read."""

    num_frames: int = 8
    rule: DrawRule = "sparse"
    every: int = 4
    """Of ``dense``: how many frames apart."""

    def __post_init__(self) -> None:
        if self.num_frames < 1 or self.every < 1:
            raise ConfigError(
                f"num_frames and every must be at least 1, got {self.num_frames} and {self.every}."
            )

    def indices(self, total: int, rng: np.random.Generator | None) -> NDArray[np.int64]:
        """Indices of ``num_frames`` of ``total`` frames, never decreasing; without a generator fixed ones."""
        count = self.num_frames
        if rng is None:
            return self._fixed(total)
        if self.rule == "dense":
            return training_rules.draw_dense(total, count, self.every, rng)
        if self.rule == "stage2":
            return training_rules.draw_stage2(total, count, rng)
        ranges = {
            "sparse": training_rules.sparse_ranges,
            "ssv2": training_rules.ssv2_ranges,
            "stage1": training_rules.stage1_ranges,
        }
        return training_rules.draw(ranges[self.rule](total, count), rng)

    def _fixed(self, total: int) -> NDArray[np.int64]:
        if self.rule == "sparse":
            return training_rules.sparse_test(total, self.num_frames, 1)[0]
        if self.rule == "ssv2":
            return training_rules.ssv2_test(total, self.num_frames)[-1]
        if self.rule == "dense":
            return training_rules.dense_test(total, self.num_frames, self.every, 1)[0]
        return internvideo2_middle(total, self.num_frames)


def read_drawn_frames(part: VideoPart, draw: FrameDraw, rng: np.random.Generator | None) -> NDArray[np.uint8]:
    """Frames of a file, a list of images, or a clip that is decoded already.

    Args:
        part: the clip; ``start_s`` and ``end_s`` say which part of a file is meant.
        draw: which frames.
        rng: draws them; None takes those of validation.

    Returns:
        (T, H, W, 3) uint8.

    Raises:
        InputError: if the video ends before ``start_s``, or begins after ``end_s``.
        MediaError: if it cannot be read, or not all of the frames can be decoded.
    """
    source = part.source
    if isinstance(source, FrameBatch | np.ndarray):
        data = source.data if isinstance(source, FrameBatch) else source
        return data[draw.indices(len(data), rng)]

    def policy(timeline: Timeline, request: SamplingRequest) -> Picks:
        within = timeline.between(request.start_s, request.end_s)
        indices = within.start + draw.indices(len(within), rng)
        return Picks(indices, timeline.pts_s[indices])

    with open_video(source) as video:
        frames = video.read(sampling=policy, start_s=part.start_s, end_s=part.end_s).data
        if len(frames) < draw.num_frames:
            raise MediaError(
                f"{video.info.name}: only {len(frames)} of {draw.num_frames} frames can be decoded; repair "
                "the file, or take it off the list."
            )
    return frames
