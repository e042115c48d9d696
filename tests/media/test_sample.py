import json
from fractions import Fraction

import numpy as np
import pytest

from kinema.errors import ConfigError
from kinema.media.sample import POLICIES, Picks, SamplingRequest, sampling_policy, select, transformers
from kinema.media.timeline import Timeline


def timeline(num_frames, rate, start_s=0.0, keyframe_every=1, assumed_rate=None):
    return Timeline(
        pts_s=start_s + np.arange(num_frames) / rate,
        is_keyframe=np.arange(num_frames) % keyframe_every == 0,
        end_s=start_s + num_frames / rate,
        rate=float(rate),
        assumed_rate=assumed_rate,
    )


def indices(policy, clip, **request):
    return select(clip, policy, SamplingRequest(**request)).indices.tolist()


def test_fps_takes_the_frames_nearest_to_the_grid():
    assert indices("fps", timeline(30, 10), fps=2) == [0, 5, 10, 15, 20, 25]


def test_fps_goes_by_true_times_where_the_rate_varies():
    clip = Timeline(
        pts_s=np.array([0.0, 0.1, 0.2, 0.9, 1.9, 2.0]), is_keyframe=np.ones(6, bool), end_s=2.5, rate=2.4
    )
    picks = select(clip, "fps", SamplingRequest(fps=1))
    assert picks.indices.tolist() == [0, 3, 5]
    assert picks.times_s.tolist() == [0.0, 0.9, 2.0]


def test_fps_gets_sparser_above_max_frames_and_still_covers_the_clip():
    assert indices("fps", timeline(100, 10), fps=5, max_frames=4) == [0, 25, 50, 75]


def test_fps_above_the_rate_of_the_file_takes_every_frame_once():
    assert indices("fps", timeline(5, 10), fps=30) == [0, 1, 2, 3, 4]


def test_fps_counts_from_the_start_of_the_stream_or_of_the_range():
    clip = timeline(40, 10, start_s=0.75)
    assert indices("fps", clip, fps=1) == [0, 10, 20, 30]
    assert indices("fps", clip, fps=1, start_s=1.75, end_s=3.0) == [10, 20]


def test_uniform_takes_middles_of_equal_parts():
    assert indices("uniform", timeline(80, 10), num_frames=4) == [10, 30, 50, 70]


def test_keyframes_are_thinned_evenly():
    clip = timeline(60, 10, keyframe_every=10)
    assert indices("keyframes", clip) == [0, 10, 20, 30, 40, 50]
    assert indices("keyframes", clip, max_frames=3) == [0, 20, 40]


def test_keyframes_of_a_range_without_one_give_its_first_frame():
    assert indices("keyframes", timeline(60, 10, keyframe_every=60), start_s=2.0, end_s=3.0) == [20]


def test_linspace_goes_from_the_first_frame_to_the_last_with_true_times():
    clip = timeline(100, 25, start_s=3.0)
    picks = select(clip, "linspace", SamplingRequest(fps=None, max_frames=8))
    assert picks.indices.tolist() == [0, 14, 28, 42, 56, 70, 84, 99]
    assert picks.times_s[-1] == pytest.approx(3.0 + 99 / 25)


def test_linspace_takes_fewer_frames_where_fps_asks_for_fewer():
    clip = timeline(100, 25)
    assert indices("linspace", clip, fps=1.0, max_frames=8) == [0, 33, 66, 99]
    assert len(indices("linspace", clip, fps=10.0, max_frames=8)) == 8


def test_linspace_repeats_frames_of_a_short_clip():
    assert indices("linspace", timeline(3, 10), fps=None, max_frames=8) == [0, 0, 0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("policy", list(POLICIES))
@pytest.mark.parametrize("num_frames", [1, 2, 7, 40])
def test_every_policy_gives_frames_that_exist_in_order(policy, num_frames):
    for request in ({}, {"start_s": 0.01, "end_s": 0.02}, {"fps": 0.1}, {"fps": 100.0, "max_frames": 3}):
        picks = select(timeline(num_frames, 10), policy, SamplingRequest(**request))
        assert len(picks.indices) == len(picks.times_s) >= 1
        assert picks.indices.min() >= 0
        assert picks.indices.max() < num_frames
        assert (np.diff(picks.indices) >= 0).all()
        assert (np.diff(picks.times_s) >= 0).all()


def test_a_clip_too_short_for_a_published_rule_gives_its_middle_frame():
    picks = select(timeline(6, 10), "videollama3", SamplingRequest(fps=1))
    assert picks.indices.tolist() == [3]
    assert picks.times_s.tolist() == [0.3]


def test_a_policy_may_be_a_function():
    def last(clip, request):
        return Picks(np.array([len(clip) - 1]), clip.pts_s[-1:])

    assert indices(last, timeline(5, 10)) == [4]


def test_an_unknown_policy_is_refused_with_the_names_there_are():
    with pytest.raises(ConfigError, match=r"no sampling policy 'fsp'; the policies are fps, uniform"):
        sampling_policy("fsp")


@pytest.mark.parametrize(
    "request_", [{"fps": 0.0}, {"max_frames": 0}, {"num_frames": 0}, {"start_s": 2.0, "end_s": 1.0}]
)
def test_a_request_that_cannot_work_is_refused(request_):
    with pytest.raises(ConfigError):
        SamplingRequest(**request_)


@pytest.fixture(scope="module")
def videollama3_golden(golden_dir):
    return json.loads((golden_dir / "videollama3" / "frame_sampling.json").read_text())


def golden_picks(policy, case, assumed_rate=None):
    file, arguments = case["file"], dict(case["args"])
    arguments.pop("precise_time", None)  # no effect without a trim, and only such are run
    clip = timeline(
        file["num_frames"], Fraction(file["fps"]), file.get("start_time", 0.0), assumed_rate=assumed_rate
    )
    request = SamplingRequest(
        fps=arguments.pop("fps"),
        max_frames=arguments.pop("max_frames"),
        start_s=arguments.pop("start_time", None),
        end_s=arguments.pop("end_time", None),
    )
    assert not arguments
    return policy(clip, request)


@pytest.mark.parametrize("group", ["regular", "nonzero_stream_start"])
def test_videollama3_equals_the_official_ffmpeg_path(videollama3_golden, group):
    cases = videollama3_golden["official_ffmpeg"][group]
    assert cases
    for case in cases:
        picks = golden_picks(sampling_policy("videollama3"), case)
        assert picks.indices.tolist() == case["source_frames"], case
        np.testing.assert_allclose(picks.times_s, case["timestamps"], atol=1e-6)


def test_videollama3_equals_the_official_index_path_on_short_segments_gifs_and_folders(videollama3_golden):
    cases = videollama3_golden["official_index"]
    assert cases
    for case in cases:
        is_assumed = "container_duration" not in case["file"]  # GIFs and folders: the loader knows no clock
        rate = float(Fraction(case["file"]["fps"])) if is_assumed else None
        for name in ("videollama3", "videollama3_index"):
            picks = golden_picks(sampling_policy(name), case, rate)
            assert picks.indices.tolist() == case["source_frames"], (name, case)
            np.testing.assert_allclose(picks.times_s, case["timestamps"], atol=1e-6)


@pytest.mark.parametrize(("group", "surplus"), [("transformers", 0), ("transformers_overflow", 1)])
def test_transformers_equals_the_original_without_its_index_beyond_the_end(
    videollama3_golden, group, surplus
):
    cases = videollama3_golden[group]
    assert cases
    for case in cases:
        arguments = dict(case["args"])
        min_frames = arguments.pop("min_frames", 4)
        clip = timeline(case["num_frames"], case["file_fps"])
        picks = transformers(clip, SamplingRequest(**arguments), min_frames=min_frames)
        expected = len(case["indices"]) - surplus
        assert picks.indices.tolist() == case["indices"][:expected], case
        np.testing.assert_allclose(picks.times_s, case["timestamps"][:expected], atol=1e-6)


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        ("video_llava", "official_linspace"),
        ("video_llava_2023", "november_2023_opencv"),
        ("video_llava", "pytorchvideo"),
        ("video_llava_transformers", "port_arange"),
    ],
)
def test_video_llava_equals_its_loaders(golden_dir, policy, rule):
    cases = json.loads((golden_dir / "video_llava" / "frame_indices.json").read_text())["cases"]
    cases = [case for case in cases if case.get(rule) is not None]
    assert cases
    for case in cases:
        found = indices(policy, timeline(case["total"], 25), num_frames=case["num_frames"])
        assert found == case[rule], case
