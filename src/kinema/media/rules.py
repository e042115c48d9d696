"""Frame-index rules of published systems: pure arithmetic on frame counts, no clock.

Each takes the number of frames there are, ``total``, and returns indices below it, which may repeat. Where
the original fails on some counts, the docstring says what is done instead.
"""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def linspace_truncated(total: int, num_frames: int) -> Indices:
    """``linspace(0, total - 1, num_frames)`` cut to integers: first and last frame included.

    Video-LLaVA (arXiv 2311.10122), decord and opencv loaders of the official code; its pytorchvideo loader
    computes the same in single precision, with equal indices for every clip below 20,000 frames. VideoLLaMA3
    (arXiv 2501.13106) uses it to thin what is above ``max_frames``.
    """
    return np.linspace(0, total - 1, num_frames).astype(np.int64)


def linspace_truncated_2023(total: int, num_frames: int) -> Indices:
    """``linspace(0, total - 5, num_frames)`` cut to integers, which stays clear of unreadable tails.

    Video-LLaVA, opencv loader of November 2023. It has no answer below five frames; the first frame is taken.
    """
    return linspace_truncated(max(total - 4, 1), num_frames)


def starts_of_parts(total: int, num_frames: int) -> Indices:
    """First frame of each of ``num_frames`` equal parts, ``floor(k total / num_frames)``.

    transformers, ``VideoLlama3VideoProcessor.sample_frames`` and the documentation of ``VideoLlava``. The
    original computes it in floating point and returns one index too many for some counts; integers do not.
    """
    return np.arange(num_frames, dtype=np.int64) * total // num_frames


def internvideo2_middle(total: int, num_frames: int, *, fix_start: int | None = None) -> Indices:
    """Middle frame of each of ``num_frames`` equal parts; a short clip repeats its last one.

    InternVideo2 (arXiv 2403.15377), stage 2 and CLIP, evaluation. ``fix_start`` takes that offset from the
    start of each part instead of its middle.
    """
    parts = min(num_frames, total)
    edges = np.linspace(0, total, parts + 1).astype(np.int64)
    first, last = edges[:-1], edges[1:] - 1
    indices = (first + last) // 2 if fix_start is None else first + fix_start
    return np.pad(indices, (0, num_frames - parts), mode="edge")


def internvideo2_fps(total: int, rate: float, fps: float, *, max_frames: int | None = None) -> Indices:
    """Middle of each ``1 / fps`` seconds of a clip of ``rate`` frames a second, cut after ``max_frames``.

    InternVideo2, stage 2, the sampling called ``fps<N>``.
    """
    step_s = 1 / fps
    times_s = np.arange(step_s / 2, total / rate + step_s / 2, step_s)
    indices = np.around(times_s * rate).astype(np.int64)
    return indices[indices < total][:max_frames]


def internvideo2_segment(total: int, num_frames: int) -> Indices:
    """Middle of each of ``num_frames`` stretches between the first and the last frame.

    InternVideo2-Chat, ``load_video`` of the released model cards.
    """
    stretch = (total - 1) / num_frames
    return int(stretch / 2) + np.round(stretch * np.arange(num_frames)).astype(np.int64)


def internvideo2_mvbench(
    max_frame: int,
    rate: float,
    num_frames: int,
    *,
    bound_s: tuple[float, float] | None = None,
    first: int = 0,
) -> Indices:
    """The like between two times, as the MVBench evaluation of InternVideo2-Chat computes it.

    Args:
        max_frame: the last index there is.
        rate: frames a second.
        num_frames: how many to take.
        bound_s: the start and end that the benchmark gives, in seconds; None for the whole clip.
        first: the first index there is; 1 for folders of images numbered from 1.
    """
    start, end = first, max_frame
    if bound_s is not None:
        start, end = max(first, round(bound_s[0] * rate)), min(round(bound_s[1] * rate), max_frame)
    stretch = (end - start) / num_frames
    return (start + stretch / 2 + np.round(stretch * np.arange(num_frames))).astype(np.int64)


def internvideo2_demo(total: int, num_frames: int) -> Indices:
    """Every ``total // num_frames``-th frame from the first on.

    InternVideo2, the retrieval demo. It has no answer for clips shorter than ``num_frames``; the last is
    repeated.
    """
    step = max(total // num_frames, 1)
    indices = np.arange(0, total, step, dtype=np.int64)[:num_frames]
    return np.pad(indices, (0, num_frames - len(indices)), mode="edge")


def videollama3_index(first: int, last: int, rate: float, *, fps: float, max_frames: int) -> Indices:
    """Middle frame of each ``1 / fps`` seconds from ``first`` to ``last``; above ``max_frames`` a linspace.

    VideoLLaMA3, official ``load_video``, the path for GIF files, folders of images and segments under one
    second. An ``fps`` above ``rate``, for which it has no answer, takes every frame.
    """
    total = last - first + 1
    if total / rate >= max_frames:
        return first + linspace_truncated(total, max_frames)
    step = max(int(min(rate // fps, total)), 1)
    return np.arange(first + step // 2, last + 1, step, dtype=np.int64)
