import numpy as np
import pytest
from numbered_clips import encode, numbers

from kinema.errors import ConfigError, MediaError
from kinema.media.frames import FrameBatch
from kinema.processors.drawn_frames import FrameDraw, read_drawn_frames
from kinema.processors.messages import VideoPart

RULES = ("sparse", "ssv2", "dense", "stage1", "stage2")


@pytest.fixture(scope="module")
def clip():
    """Thirty numbered frames, ten a second."""
    return VideoPart(source=encode("matroska", "ffv1", count=30))


def drawn(part, rule, seed):
    draw = FrameDraw(num_frames=4, rule=rule, every=4)
    rng = None if seed is None else np.random.default_rng(seed)
    return numbers(read_drawn_frames(part, draw, rng))


@pytest.mark.parametrize("rule", RULES)
def test_each_draw_has_its_own_frames_in_order(rule, clip):
    draws = {tuple(drawn(clip, rule, seed)) for seed in range(8)}
    assert len(draws) > 3
    assert all(list(frames) == sorted(frames) and len(frames) == 4 for frames in draws)
    assert drawn(clip, rule, 5) == drawn(clip, rule, 5)


@pytest.mark.parametrize(
    ("rule", "frames"),
    [
        ("sparse", [3, 10, 17, 25]),
        ("ssv2", [3, 11, 18, 26]),
        ("dense", [0, 4, 8, 12]),
        ("stage1", [3, 10, 18, 25]),
        ("stage2", [3, 10, 18, 25]),
    ],
)
def test_without_a_generator_the_frames_are_fixed(rule, frames, clip):
    assert drawn(clip, rule, None) == frames


def test_a_dense_draw_is_a_run_that_may_end_anywhere(clip):
    runs = [drawn(clip, "dense", seed) for seed in range(30)]
    assert all(run[-1] - run[0] == 15 for run in runs)
    assert min(run[0] for run in runs) <= 2
    assert max(run[0] for run in runs) >= 11


def test_only_the_part_that_is_meant_is_drawn_from(clip):
    part = VideoPart(source=clip.source, start_s=1.0, end_s=2.0)
    frames = {number for seed in range(20) for number in drawn(part, "sparse", seed)}
    assert frames == set(range(10, 20))


def test_frames_that_are_decoded_already_are_drawn_from_too():
    frames = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.full((1, 2, 2, 3), 8, np.uint8)
    batch = FrameBatch(data=frames, pts_s=np.arange(6.0), duration_s=6.0)
    for source in (frames, batch):
        assert drawn(VideoPart(source=source), "ssv2", None) == [0, 2, 3, 5]


def test_a_short_clip_waits_at_its_first_frame_in_something_something_and_is_spread_in_stage_1():
    clip = VideoPart(source=encode("matroska", "ffv1", count=2))
    assert drawn(clip, "ssv2", 0) == [0, 0, 0, 1]
    assert drawn(clip, "stage1", 0) == [0, 0, 1, 1]


def test_a_file_that_is_no_video_is_an_error():
    with pytest.raises(MediaError):
        drawn(VideoPart(source=b"no video"), "sparse", 0)


def test_numbers_below_one_are_refused():
    with pytest.raises(ConfigError, match="got 0 and 4"):
        FrameDraw(num_frames=0)
