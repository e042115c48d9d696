import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from kinema.errors import ConfigError, InputError, OutOfBudgetError
from kinema.processors.pruning import (
    LastKeptPruning,
    NoPruning,
    PreviousFramePruning,
    TokenBudgetPruning,
    build_pruning,
    distance_to_previous,
    split_blocks,
)

PATCH = 2


@pytest.fixture(scope="session")
def golden_cases(golden_dir):
    folder = golden_dir / "videollama3/pruning"
    described = json.loads((folder / "cases.json").read_text())
    rule = PreviousFramePruning(
        threshold=described["threshold"], min_tokens_per_frame=described["min_tokens"]
    )
    return rule, {name: load_file(folder / f"{name}.safetensors") for name in described["cases"]}


def packed(*clips):
    """One value a block: clips[i][f][k] is the grey level of block k in frame f of item i."""
    rows, grids = [], []
    for clip in clips:
        levels = torch.tensor(clip, dtype=torch.float32)
        rows.append((levels / 127.5 - 1).reshape(-1, 1).expand(-1, 3 * PATCH**2))
        grids.append([levels.shape[0], 1, levels.shape[1]])
    return torch.cat(rows).contiguous(), torch.tensor(grids), torch.ones(len(clips), dtype=torch.int64)


def kept(rule, *clips):
    return rule(*packed(*clips)).tolist()


def test_the_published_rule_keeps_the_official_tokens(golden_cases):
    rule, cases = golden_cases
    for name, case in cases.items():
        keep = rule(case["pixel_values"], case["grid_thw"], case["merge_sizes"])
        assert torch.equal(keep, case["keep_mask"]), name
        items = keep.split((case["grid_thw"].prod(-1) // case["merge_sizes"] ** 2).tolist())
        frames = [
            f.sum()
            for item, grid in zip(items, case["grid_thw"], strict=True)
            for f in item.chunk(int(grid[0]))
        ]
        assert torch.equal(torch.stack(frames), case["tokens_per_frame"]), name


def test_distances_equal_the_official_ones(golden_cases):
    for case in golden_cases[1].values():
        if "distance" in case:
            (blocks,) = split_blocks(case["pixel_values"], case["grid_thw"], case["merge_sizes"])
            torch.testing.assert_close(
                distance_to_previous(blocks)[1:], case["distance"][1:], rtol=1e-4, atol=0
            )


def test_slow_drift_that_the_published_rule_misses_is_kept_by_last_kept(golden_cases):
    rule, cases = golden_cases
    if "drift" not in cases:
        pytest.skip("this golden set has no case of slow drift")
    inputs = [cases["drift"][key] for key in ("pixel_values", "grid_thw", "merge_sizes")]
    frames = int(inputs[1][0, 0])
    official = rule(*inputs).reshape(frames, -1)
    ours = LastKeptPruning(threshold_levels=rule.threshold / 2)(*inputs).reshape(frames, -1)
    assert official[1:].sum() == (frames - 1) * rule.min_tokens_per_frame
    assert ours[1:].sum() > official[1:].sum()


def test_a_block_is_kept_when_it_differs_from_the_frame_before():
    clip = [[0, 0], [0, 9], [0, 9], [0, 0]]
    rule = PreviousFramePruning(threshold=1.0, min_tokens_per_frame=0)
    assert kept(rule, clip) == [True, True, False, True, False, False, False, True]


def test_the_threshold_is_in_grey_levels_and_strict():
    clip = [[0, 0], [3, 4]]
    assert kept(LastKeptPruning(threshold_levels=3.5), clip) == [True, True, False, True]
    assert kept(PreviousFramePruning(threshold=7.0), clip) == [True, True, False, True]


def test_drift_adds_up_until_it_is_seen():
    clip = [[0, 0], [2, 0], [4, 0], [6, 0]]
    assert kept(PreviousFramePruning(threshold=6.0, min_tokens_per_frame=0), clip)[2:] == [False] * 6
    assert kept(LastKeptPruning(threshold_levels=3.0, min_tokens_per_frame=0), clip)[2::2] == [
        False,
        True,
        False,
    ]


def test_a_frame_without_change_keeps_its_first_tokens():
    clip = [[5, 5, 5], [5, 5, 5]]
    assert kept(PreviousFramePruning(min_tokens_per_frame=2), clip) == [True] * 3 + [True, True, False]
    assert kept(LastKeptPruning(), clip) == [True] * 3 + [True, False, False]


def test_a_block_that_was_forced_is_what_later_frames_are_compared_with():
    rule = LastKeptPruning(threshold_levels=3.0)
    assert kept(rule, [[0, 0], [2, 0], [4, 9]]) == [True, True, True, False, False, True]


@pytest.mark.parametrize(
    "rule", [PreviousFramePruning(threshold=400.0), LastKeptPruning(threshold_levels=200.0)]
)
def test_images_and_first_frames_are_whole_and_items_are_not_compared(rule):
    assert kept(rule, [[1, 1]], [[1, 1]], [[1, 1], [1, 1]]) == [True] * 6 + [True, False]


def test_no_pruning_keeps_everything():
    assert kept(NoPruning(), [[1, 1], [1, 1]]) == [True] * 4


def test_a_budget_keeps_what_changed_most():
    clip = [[0, 0, 0, 0], [0, 2, 50, 100]]
    assert kept(TokenBudgetPruning(max_tokens=6, min_tokens_per_frame=0), clip)[4:] == [
        False,
        False,
        True,
        True,
    ]
    assert kept(TokenBudgetPruning(max_tokens=5, min_tokens_per_frame=0), clip)[4:] == [
        False,
        False,
        False,
        True,
    ]


def test_a_budget_that_is_large_enough_keeps_even_what_is_the_same():
    assert kept(TokenBudgetPruning(max_tokens=4), [[1, 1], [1, 1]]) == [True] * 4


def test_a_budget_below_what_is_always_kept_is_refused():
    with pytest.raises(OutOfBudgetError, match="are 4 tokens, but the budget is 3"):
        kept(TokenBudgetPruning(max_tokens=3), [[0, 0, 0], [9, 9, 9]])


def test_a_grid_of_another_size_is_refused():
    pixel_values, grid_thw, merge_sizes = packed([[1, 1]])
    with pytest.raises(InputError, match="describes 4 patches, but pixel_values holds 2"):
        NoPruning()(pixel_values, grid_thw * torch.tensor([2, 1, 1]), merge_sizes)


def test_rules_are_built_by_name():
    assert build_pruning("last_kept", threshold_levels=2.0) == LastKeptPruning(threshold_levels=2.0)
    with pytest.raises(ConfigError, match="there are: none, previous_frame"):
        build_pruning("newest")
    with pytest.raises(ConfigError, match="token_budget"):
        build_pruning("token_budget", tokens=3)


levels = st.integers(2, 5).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 255), min_size=width, max_size=width), min_size=1, max_size=6
    )
)


@given(levels, st.floats(0, 300), st.floats(0, 300))
@settings(max_examples=60, deadline=None)
def test_a_higher_threshold_of_the_published_rule_keeps_a_subset(clip, one, other):
    low, high = sorted((one, other))
    fewer = kept(PreviousFramePruning(threshold=high, min_tokens_per_frame=0), clip)
    more = kept(PreviousFramePruning(threshold=low, min_tokens_per_frame=0), clip)
    assert all(m or not f for f, m in zip(fewer, more, strict=True))


@given(levels, st.floats(0, 100))
@settings(max_examples=60, deadline=None)
def test_what_is_held_for_a_place_is_never_further_away_than_the_threshold(clip, threshold):
    mask = np.array(kept(LastKeptPruning(threshold_levels=threshold), clip)).reshape(len(clip), -1)
    held = np.array(clip[0])
    for frame, keep in zip(np.array(clip), mask, strict=True):
        held = np.where(keep, frame, held)
        assert np.abs(frame - held).max() <= threshold + 1e-3


@given(levels, st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_a_budget_is_never_exceeded_and_solved_the_same_way_twice(clip, max_tokens):
    always_kept = len(clip[0]) + len(clip) - 1
    rule = TokenBudgetPruning(max_tokens=max_tokens)
    if max_tokens < always_kept:
        with pytest.raises(OutOfBudgetError):
            kept(rule, clip)
        return
    mask = kept(rule, clip)
    assert always_kept <= sum(mask) <= max_tokens
    assert mask == kept(rule, clip)
    assert all(mask[: len(clip[0])])
