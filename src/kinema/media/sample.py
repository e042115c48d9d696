"""Which frames of a video are read: sampling policies by name.

A policy is a pure function from a ``Timeline`` and a ``SamplingRequest`` to ``Picks``. Ours choose by true
presentation times. The published ones reproduce their systems, and with them the times those systems print
beside a frame, which may differ from when the frame is shown: ``Picks.times_s``, and with it
``FrameBatch.pts_s``, holds true times for ``fps``, ``uniform``, ``linspace`` and ``keyframes``, and the
published label for all others.

Every clip gives at least one frame: where a published rule gives none, the frame nearest to the clip's middle
is read, with its true time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.errors import ConfigError
from kinema.media import rules
from kinema.media.timeline import Timeline

_ROUNDING = 1e-6
"""Products of seconds and rates this close to a whole number are that number."""


@dataclass(frozen=True, kw_only=True)
class SamplingRequest:
    """What the caller asks of a policy."""

    fps: float | None = 1.0
    """Frames a second; None asks ``videollama3`` for every frame."""
    max_frames: int = 180
    """Most frames; a longer clip is read more sparsely, never cut."""
    num_frames: int | None = None
    """Exact number of frames, for the rules that have one; None means the published number."""
    start_s: float | None = None
    """Presentation time to read from; None is the first frame."""
    end_s: float | None = None
    """Presentation time to read up to, itself not included; None is the end."""

    def __post_init__(self) -> None:
        if self.fps is not None and self.fps <= 0:
            raise ConfigError(f"fps must be above 0, got {self.fps}.")
        if self.max_frames < 1 or (self.num_frames is not None and self.num_frames < 1):
            raise ConfigError(
                f"max_frames and num_frames must be at least 1, got {self.max_frames} and {self.num_frames}."
            )
        if self.start_s is not None and self.end_s is not None and self.end_s < self.start_s:
            raise ConfigError(f"end_s must not be before start_s, got {self.start_s} to {self.end_s}.")


@dataclass(frozen=True)
class Picks:
    """Frames to read, and the times to give them."""

    indices: NDArray[np.int64]
    """(T,) on the timeline, never decreasing; an index may repeat under published rules."""
    times_s: NDArray[np.float64]
    """(T,) true presentation times, or the labels a published system prints."""


Policy = Callable[[Timeline, SamplingRequest], Picks]


def select(timeline: Timeline, sampling: str | Policy, request: SamplingRequest) -> Picks:
    """Apply a policy, given by name or as a function; at least one frame comes out."""
    policy = sampling_policy(sampling) if isinstance(sampling, str) else sampling
    picks = policy(timeline, request)
    if len(picks.indices):
        return picks
    start_s, end_s = _span_s(timeline, request)
    middle = timeline.nearest(
        np.array([(start_s + end_s) / 2]), timeline.between(request.start_s, request.end_s)
    )
    return _truly_timed(timeline, middle)


def sampling_policy(name: str) -> Policy:
    """The policy of that name.

    Raises:
        ConfigError: if there is none; names those there are.
    """
    if name not in POLICIES:
        raise ConfigError(f"there is no sampling policy '{name}'; the policies are {', '.join(POLICIES)}.")
    return POLICIES[name]


def fps(timeline: Timeline, request: SamplingRequest) -> Picks:
    """The frames nearest to a grid of ``fps`` times a second from the start on; each frame once.

    Where the grid has over ``max_frames`` times, ``max_frames`` times cover the same span.
    """
    if request.fps is None:
        raise ConfigError("the policy 'fps' needs fps; pass a number above 0.")
    start_s, end_s = _span_s(timeline, request)
    num_times = max(1, int(np.ceil((end_s - start_s) * request.fps - _ROUNDING)))
    step_s = 1 / request.fps
    if num_times > request.max_frames:
        num_times, step_s = request.max_frames, (end_s - start_s) / request.max_frames
    times_s = start_s + step_s * np.arange(num_times, dtype=np.float64)
    within = timeline.between(request.start_s, request.end_s)
    return _truly_timed(timeline, np.unique(timeline.nearest(times_s, within)))


def uniform(timeline: Timeline, request: SamplingRequest) -> Picks:
    """The frames nearest to the middles of ``num_frames`` equal parts (8 unless told); each frame once."""
    num_frames = min(request.num_frames or 8, request.max_frames)
    start_s, end_s = _span_s(timeline, request)
    middles_s = start_s + (np.arange(num_frames) + 0.5) * (end_s - start_s) / num_frames
    within = timeline.between(request.start_s, request.end_s)
    return _truly_timed(timeline, np.unique(timeline.nearest(middles_s, within)))


def linspace(timeline: Timeline, request: SamplingRequest) -> Picks:
    """From the first frame to the last in equal steps of frames: ``rules.linspace_truncated``, true times.

    ``max_frames`` of them, or fewer where ``fps`` asks for fewer; a clip that is shorter repeats frames, as
    Video-LLaVA is trained to see it.
    """
    start_s, end_s = _span_s(timeline, request)
    num_frames = request.num_frames or request.max_frames
    if request.fps is not None:
        num_frames = min(num_frames, max(1, round((end_s - start_s) * request.fps)))
    within = timeline.between(request.start_s, request.end_s)
    return _truly_timed(timeline, within.start + rules.linspace_truncated(len(within), num_frames))


def keyframes(timeline: Timeline, request: SamplingRequest) -> Picks:
    """Frames that decode by themselves, evenly thinned to ``max_frames``: the cheapest look at a file."""
    within = timeline.between(request.start_s, request.end_s)
    indices = within.start + np.flatnonzero(timeline.is_keyframe[within.start : within.stop])
    if len(indices) == 0:
        indices = np.array([within.start])
    if len(indices) > request.max_frames:
        indices = indices[rules.starts_of_parts(len(indices), request.max_frames)]
    return _truly_timed(timeline, indices.astype(np.int64))


def videollama3(timeline: Timeline, request: SamplingRequest) -> Picks:
    """VideoLLaMA3 (arXiv 2501.13106), official ``load_video``: FFmpeg's ``fps`` filter with ``round=down``.

    Slot k, labelled S + k / fps, shows the last frame before S + (k + 1) / fps, so a label lags its frame by
    almost one step. There are floor(duration fps) slots, thinned to ``max_frames`` by a truncated linspace;
    none if the clip is shorter than one step. If the stream does not begin at 0 and a start is asked for,
    FFmpeg adds the stream's start to it: frames come that much later than their labels. GIF files, folders
    and segments under one second go by ``videollama3_index``, as they do there.
    """
    is_short = (
        request.start_s is not None and request.end_s is not None and request.end_s - request.start_s < 1
    )
    if timeline.assumed_rate is not None or is_short:
        return videollama3_index(timeline, request)
    label_s = timeline.start_s if request.start_s is None else max(timeline.start_s, request.start_s)
    duration_s = timeline.end_s - label_s
    if request.end_s is not None:
        duration_s = min(duration_s, request.end_s - label_s)
    if request.fps is None:
        return _every_frame_labelled(timeline, request, label_s, duration_s)
    is_trimmed = request.start_s is not None or request.end_s is not None
    shown_s = label_s + timeline.start_s if is_trimmed else label_s
    slots = _thinned(int(duration_s * request.fps + _ROUNDING), request.max_frames)
    within = timeline.between(shown_s, None)
    return Picks(
        timeline.last_before(shown_s + (slots + 1) / request.fps, within), label_s + slots / request.fps
    )


def videollama3_index(timeline: Timeline, request: SamplingRequest) -> Picks:
    """VideoLLaMA3's path by frame numbers: ``rules.videollama3_index``; labels are index / rate.

    A GIF is taken to have 25 frames a second, a folder 3. Equal start and end are widened to one second.
    """
    rate = timeline.assumed_rate or timeline.rate
    start_s, end_s = request.start_s, request.end_s
    if start_s is not None and start_s == end_s:
        end_s = start_s + 1
    last = len(timeline) - 1
    first = 0 if start_s is None else min(max(int(start_s * rate) - 1, 0), last)
    if end_s is not None:
        last = min(max(int(end_s * rate) - 1, first), last)
    frames_per_second = rate if request.fps is None else request.fps
    indices = rules.videollama3_index(first, last, rate, fps=frames_per_second, max_frames=request.max_frames)
    return Picks(indices, indices / rate)


def transformers(timeline: Timeline, request: SamplingRequest, *, min_frames: int = 4) -> Picks:
    """transformers' ``VideoLlama3VideoProcessor``: first frames of n equal parts; labels are index / rate.

    n is ``num_frames`` if given, else duration x fps within ``min_frames`` and ``max_frames``.
    """

    def choose(total: int) -> rules.Indices:
        most = min(request.max_frames, total)
        wanted: float = total if request.fps is None else total / timeline.rate * request.fps
        num_frames = int(min(max(wanted, min_frames), most))
        return rules.starts_of_parts(total, min(request.num_frames or max(num_frames, 1), total))

    return _by_index(timeline, request, choose)


def _fixed(rule: Callable[[int, int], rules.Indices], published: int) -> Policy:
    """A policy that takes ``num_frames`` frames, ``published`` unless told, by a rule on frame counts."""

    def policy(timeline: Timeline, request: SamplingRequest) -> Picks:
        return _by_index(timeline, request, lambda total: rule(total, request.num_frames or published))

    policy.__doc__ = rule.__doc__
    return policy


def internvideo2_fps(timeline: Timeline, request: SamplingRequest) -> Picks:
    """InternVideo2's ``fps<N>`` sampling, ``rules.internvideo2_fps``, cut after ``max_frames`` as there."""
    if request.fps is None:
        raise ConfigError("the policy 'internvideo2_fps' needs fps; pass a number above 0.")
    wanted = request.fps
    return _by_index(
        timeline,
        request,
        lambda total: rules.internvideo2_fps(total, timeline.rate, wanted, max_frames=request.max_frames),
    )


POLICIES: dict[str, Policy] = {
    "fps": fps,
    "uniform": uniform,
    "linspace": linspace,
    "keyframes": keyframes,
    "videollama3": videollama3,
    "videollama3_index": videollama3_index,
    "transformers": transformers,
    "video_llava": _fixed(rules.linspace_truncated, published=8),
    "video_llava_2023": _fixed(rules.linspace_truncated_2023, published=8),
    "video_llava_transformers": _fixed(rules.starts_of_parts, published=8),
    "internvideo2_middle": _fixed(rules.internvideo2_middle, published=8),
    "internvideo2_segment": _fixed(rules.internvideo2_segment, published=8),
    "internvideo2_demo": _fixed(rules.internvideo2_demo, published=8),
    "internvideo2_fps": internvideo2_fps,
}
"""Sampling policies by the name that ``Video.read`` and the parts of a message take."""


def _span_s(timeline: Timeline, request: SamplingRequest) -> tuple[float, float]:
    """The part of the asked-for time in which there is video."""
    start_s = timeline.start_s if request.start_s is None else max(timeline.start_s, request.start_s)
    end_s = timeline.end_s if request.end_s is None else min(timeline.end_s, request.end_s)
    return start_s, max(start_s, end_s)


def _truly_timed(timeline: Timeline, indices: NDArray[np.int64]) -> Picks:
    return Picks(indices, timeline.pts_s[indices])


def _by_index(timeline: Timeline, request: SamplingRequest, choose: Callable[[int], rules.Indices]) -> Picks:
    """Apply a rule on frame counts to the asked-for part; labels are index / rate, as in those loaders."""
    within = timeline.between(request.start_s, request.end_s)
    indices = within.start + choose(len(within))
    return Picks(indices, indices / timeline.rate)


def _every_frame_labelled(
    timeline: Timeline, request: SamplingRequest, label_s: float, duration_s: float
) -> Picks:
    """VideoLLaMA3 without fps: all frames, labelled by spreading the duration evenly over them."""
    within = timeline.between(request.start_s, request.end_s)
    labels_s = np.linspace(label_s, label_s + duration_s, len(within))
    kept = _thinned(len(within), request.max_frames)
    return Picks(within.start + kept, labels_s[kept])


def _thinned(total: int, most: int) -> rules.Indices:
    """0 to ``total`` - 1, above ``most`` thinned by a truncated linspace, as VideoLLaMA3 does."""
    return np.arange(max(total, 0)) if total <= most else rules.linspace_truncated(total, most)
