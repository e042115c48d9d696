import json

import numpy as np
import pytest

from kinema.media import training_rules as rules
from kinema.media.rules import internvideo2_segment


@pytest.fixture(scope="module")
def groups(golden_dir):
    return json.loads((golden_dir / "internvideo2" / "G_frame_index.json").read_text())["groups"]


def check(found, case, expected):
    assert np.asarray(found).tolist() == expected, case["input"]


def test_stage_1_draws_from_the_original_ranges(groups):
    for case in groups["stage1_ranges"]:
        given, expected = case["input"], case["output"]
        found = rules.stage1_ranges(given["vlen"], given["num_frames"], as_published=True)
        check(found + given["start_index"], case, expected["drawn_inclusive_ranges"])
        check(found + given["start_index"] - 1, case, expected["decoded_ranges_in_released_code"])


def test_stage_2_draws_from_the_original_ranges(groups):
    for case in groups["stage2_rand_ranges"]:
        given, expected = case["input"], case["output"]
        found = rules.stage2_ranges(given["vlen"], given["num_frames"])
        drawn = rules.draw_stage2(given["vlen"], given["num_frames"], np.random.default_rng(0))
        assert len(drawn) == given["num_frames"]
        if found is None:
            assert "fallback" in expected, case["input"]
            different = len(set(drawn.tolist()))
            assert different == expected["drawn"], case["input"]
            assert (np.diff(drawn) >= 0).all()
        else:
            check(found, case, expected["inclusive_ranges"])


def test_fine_tuning_draws_from_the_original_ranges(groups):
    for case in groups["finetune_sparse_train_ranges"]:
        given = case["input"]
        found = rules.sparse_ranges(given["vlen"], given["num_frames"])
        check(found, case, case["output"]["inclusive_ranges"])
        assert found.max() <= case["output"]["clamped_to"]


def test_sparse_tests_equal_the_original(groups):
    for case in groups["finetune_sparse_validation"]:
        given = case["input"]
        check(internvideo2_segment(given["vlen"], given["num_frames"]), case, case["output"])
        check(rules.sparse_test(given["vlen"], given["num_frames"], 1)[0], case, case["output"])
    for case in groups["finetune_sparse_test"]:
        given = case["input"]
        found = rules.sparse_test(given["vlen"], given["num_frames"], given["test_num_segment"])
        check(found, case, case["output"])


def test_something_something_equals_the_original(groups):
    for case in groups["finetune_ssv2_validation"]:
        found = rules.ssv2_test(case["input"]["vlen"], case["input"]["num_frames"])
        check(found[-1], case, case["output"])
    for case in groups["finetune_ssv2_test"]:
        given = case["input"]
        found = rules.ssv2_test(given["vlen"], given["num_frames"], given["test_num_segment"])
        check(found, case, case["output"])


def test_dense_runs_equal_the_original(groups):
    for case in groups["finetune_dense_validation"]:
        given = case["input"]
        found = rules.dense_validation(given["vlen"], given["num_frames"], given["sample_rate"])
        check(found, case, case["output"])
    for case in groups["finetune_dense_test"]:
        given = case["input"]
        sizes = given["num_frames"], given["sample_rate"], given["test_num_segment"]
        check(rules.dense_test(given["vlen"], *sizes), case, case["output"])


def test_chat_training_looks_at_the_clip_that_is_asked_about(groups):
    for case in groups["chat_training_clip"]:
        given = case["input"]
        found = rules.chat_clip(given["vlen"], given["fps"], given["num_frames"], bound_s=given["clip"])
        check(found, case, case["output"])


def test_a_draw_stays_in_its_range():
    ranges = np.array([[0, 0], [3, 5]])
    draws = [rules.draw(ranges, np.random.default_rng(seed)).tolist() for seed in range(40)]
    assert {first for first, _ in draws} == {0}
    assert {second for _, second in draws} == {3, 4, 5}


def test_a_short_clip_of_stage_1_moves_unless_the_released_rule_is_asked_for():
    assert rules.stage1_ranges(2, 4)[:, 0].tolist() == [0, 0, 1, 1]
    assert rules.stage1_ranges(2, 4, as_published=True)[:, 0].tolist() == [0, 0, 0, 0]


def test_something_something_draws_a_frame_of_each_segment_or_waits_at_the_first():
    assert rules.ssv2_ranges(9, 4).tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert rules.ssv2_ranges(2, 4)[:, 0].tolist() == [0, 0, 0, 1]


def test_a_dense_draw_ends_anywhere_and_is_all_of_a_short_video():
    runs = [rules.draw_dense(12, 2, 4, np.random.default_rng(seed)).tolist() for seed in range(40)]
    assert {tuple(run) for run in runs} == {(0, 7), (1, 8), (2, 9), (3, 10)}
    short = rules.draw_dense(5, 4, 2, np.random.default_rng(0))
    assert short.tolist() == rules.dense_validation(5, 4, 2).tolist() == [0, 4, 4, 4]
