import json

import pytest

from kinema.media import rules


@pytest.fixture(scope="module")
def groups(golden_dir):
    return json.loads((golden_dir / "internvideo2" / "G_frame_index.json").read_text())["groups"]


def test_middles_of_equal_parts_equal_stage_2(groups):
    assert groups["stage2_middle"]
    for case in groups["stage2_middle"]:
        given = case["input"]
        found = rules.internvideo2_middle(
            given["vlen"], given["num_frames"], fix_start=given.get("fix_start")
        )
        assert found.tolist() == case["output"], case


def test_the_first_thirty_seconds_are_the_middles_of_their_frames(groups):
    assert groups["first_30_seconds"]
    for case in groups["first_30_seconds"]:
        given = case["input"]
        total = min(given["vlen"], int(30 * given["fps"]))
        assert rules.internvideo2_middle(total, given["num_frames"]).tolist() == case["output"]["indices"], (
            case
        )


def test_frames_by_rate_equal_stage_2(groups):
    assert groups["stage2_fps"]
    for case in groups["stage2_fps"]:
        given = case["input"]
        most = given["max_num_frames"] if given["max_num_frames"] > 0 else None
        fps = float(given["sample"].removeprefix("fps"))
        found = rules.internvideo2_fps(given["vlen"], given["input_fps"], fps, max_frames=most)
        assert found.tolist() == case["output"], case


def test_segments_equal_the_chat_model(groups):
    assert groups["chat"]
    for case in groups["chat"]:
        given = case["input"]
        found = rules.internvideo2_segment(given["num_frames_in_video"], given["num_segments"])
        assert found.tolist() == case["output"], case


def test_bounded_segments_equal_the_mvbench_evaluation(groups):
    assert groups["mvbench"]
    for case in groups["mvbench"]:
        given = case["input"]
        found = rules.internvideo2_mvbench(
            given["max_frame"],
            given["fps"],
            given["num_segments"],
            bound_s=given["bound"],
            first=given["first_idx"],
        )
        assert found.tolist() == case["output"], case


def test_strides_equal_the_retrieval_demo(groups):
    assert groups["retrieval_demo"]
    for case in groups["retrieval_demo"]:
        given = case["input"]
        assert rules.internvideo2_demo(given["vlen"], given["num_frames"]).tolist() == case["output"], case


def test_a_clip_shorter_than_the_demo_allows_repeats_its_last_frame():
    assert rules.internvideo2_demo(2, 4).tolist() == [0, 1, 1, 1]


def test_a_clip_shorter_than_the_margin_of_2023_gives_its_first_frame():
    assert rules.linspace_truncated_2023(3, 2).tolist() == [0, 0]


def test_the_index_rule_takes_every_frame_above_the_rate_of_the_file():
    assert rules.videollama3_index(0, 3, 3.0, fps=10, max_frames=180).tolist() == [0, 1, 2, 3]
