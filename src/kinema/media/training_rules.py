"""Frame-index rules of InternVideo2's training, and of its tests that look at a video several times.

arXiv 2403.15377; OpenGVLab/InternVideo, its data sets of stages 1 and 2 and of action recognition. Pure
arithmetic on frame counts, as in ``rules``. Rules that draw give the ranges drawn from, both ends included;
``draw`` draws.
"""

import numpy as np
from numpy.typing import NDArray

from kinema.media.rules import Indices, internvideo2_middle

Ranges = NDArray[np.int64]
"""(num_frames, 2): the first and the last index that a frame is drawn from."""


def draw(ranges: Ranges, rng: np.random.Generator) -> Indices:
    """One index of each range, all alike."""
    return rng.integers(ranges[:, 0], ranges[:, 1], endpoint=True)


def stage1_ranges(total: int, num_frames: int = 16, *, as_published: bool = False) -> Ranges:
    """Equal segments of whole frames; what is left over at the end is never seen.

    A clip of fewer frames is spread evenly, each frame several times. ``as_published`` it is still: every
    draw is its first frame. The released loader also decodes the frame before the drawn one, the last of the
    file before the first; that is not copied.
    """
    length = total // num_frames
    if length == 0:
        first = (
            np.zeros(num_frames, np.int64) if as_published else np.arange(num_frames) * total // num_frames
        )
        return np.stack([first, first], axis=1)
    first = np.arange(num_frames, dtype=np.int64) * length
    return np.stack([first, first + length - 1], axis=1)


def stage2_ranges(total: int, num_frames: int) -> Ranges | None:
    """Equal parts without their last frame; None where a part has no other, see ``draw_stage2``.

    As many parts as frames: of a clip with fewer, one each.
    """
    edges = np.linspace(0, total, min(num_frames, total) + 1).astype(np.int64)
    ranges = np.stack([edges[:-1], edges[1:] - 2], axis=1)
    return None if (ranges[:, 1] < ranges[:, 0]).any() else ranges


def draw_stage2(total: int, num_frames: int, rng: np.random.Generator) -> Indices:
    """A frame of each part; where a part is a single frame, any frames in order. The last is repeated."""
    ranges = stage2_ranges(total, num_frames)
    if ranges is None:
        indices = np.sort(rng.permutation(total)[:num_frames])
    else:
        indices = draw(ranges, rng)
    return np.pad(indices, (0, num_frames - len(indices)), mode="edge")


def sparse_ranges(total: int, num_frames: int) -> Ranges:
    """Stretches between the first and the last frame, which share their ends: fine-tuning on Kinetics."""
    edges = np.round((total - 1) / num_frames * np.arange(num_frames + 1)).astype(np.int64)
    return np.stack([edges[:-1], edges[1:]], axis=1).clip(max=total - 1)


def sparse_test(total: int, num_frames: int, num_clips: int) -> Ranges:
    """As ``rules.internvideo2_segment`` with several offsets into a stretch: (num_clips, num_frames).

    One clip is that rule itself, which validates.
    """
    stretch = (total - 1) / num_frames
    starts = np.round(stretch * np.arange(num_frames)).astype(np.int64)
    offsets = (stretch / (num_clips + 1) * np.arange(1, num_clips + 1)).astype(np.int64)
    return offsets[:, None] + starts


def ssv2_ranges(total: int, num_frames: int) -> Ranges:
    """Something-Something's training: as ``stage1_ranges``, but a short clip waits at its first frame."""
    if total >= num_frames:
        return stage1_ranges(total, num_frames)
    frames = np.pad(np.arange(total, dtype=np.int64), (num_frames - total, 0))
    return np.stack([frames, frames], axis=1)


def ssv2_test(total: int, num_frames: int, num_clips: int = 2) -> Ranges:
    """Something-Something: steps of equal length, begun at offsets spread over a step; the last validates."""
    step = total / num_frames
    offsets = step / num_clips * np.arange(num_clips)
    return (offsets[:, None] + step * np.arange(num_frames)).astype(np.int64)


def dense_validation(total: int, num_frames: int, every: int) -> Indices:
    """A run of about every ``every``-th frame that ends before the middle of the video.

    The rule means the middle, and takes half of what is left over as its end instead of its start, so of
    videos below three runs some indices are negative: the original's decoder reads them from the end of the
    file, and so does NumPy.
    """
    span = num_frames * every
    if total <= span:
        return _short_run(total, num_frames, every)
    return _run(num_frames, every, (total - span) // 2)


def draw_dense(total: int, num_frames: int, every: int, rng: np.random.Generator) -> Indices:
    """A run of about every ``every``-th frame that ends anywhere; of a short video, all of it."""
    span = num_frames * every
    if total <= span:
        return _short_run(total, num_frames, every)
    return _run(num_frames, every, int(rng.integers(span, total)))


def dense_test(total: int, num_frames: int, every: int, num_clips: int) -> Ranges:
    """Runs of every ``every``-th frame, begun evenly over the video; of a short one, all the same run."""
    starts = np.linspace(0, max(total - num_frames * every, 0), num_clips).astype(np.int64)
    indices = starts[:, None] + every * np.arange(num_frames)
    return np.minimum(indices, (total - 1) // every * every) if total <= num_frames * every else indices


def chat_clip(
    total: int, rate: float, num_frames: int, *, bound_s: tuple[float, float] | None = None
) -> Indices:
    """``rules.internvideo2_middle`` between two times: the chat models' training.

    Args:
        total: frames there are.
        rate: frames a second.
        num_frames: how many to take.
        bound_s: start and end of what is asked about; None for all.
    """
    start, end = 0, total
    if bound_s is not None:
        start, end = (min(int(time_s * rate), total) for time_s in bound_s)
    return start + internvideo2_middle(end - start, num_frames)


def _run(num_frames: int, every: int, end: int) -> Indices:
    span = num_frames * every
    return np.linspace(end - span, end, num_frames).clip(end - span, end - 1).astype(np.int64)


def _short_run(total: int, num_frames: int, every: int) -> Indices:
    """Every ``every``-th frame, then the last one again and again."""
    known = np.linspace(0, total, total // every)
    indices = np.concatenate([known, np.full(num_frames - len(known), float(total))])
    return indices.clip(0, total - 1).astype(np.int64)
