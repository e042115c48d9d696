import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from kinema.errors import ConfigError, InputError
from kinema.processors.patches import NORMALISED
from kinema.processors.resize import ItemSize, OfficialResize, TransformersResize, resize_frames


@pytest.fixture(scope="session")
def resize_rules(golden_dir):
    return json.loads((golden_dir / "videollama3/preprocessing/resize_rules.json").read_text())


def image_items(row):
    return [ItemSize(1, row["height"], row["width"], row["merge_size"])] * row["num_items"]


def video_item(row):
    return [ItemSize(row["num_items"], row["height"], row["width"], row["merge_size"])]


def budget(row):
    return {"min_tokens": row["min_tokens"], "max_tokens": row["max_tokens"]}


def test_one_merge_size_follows_the_official_rule(resize_rules):
    for row in resize_rules["same_merge"]:
        rule = OfficialResize(**budget(row))
        expected = tuple(row["official"])
        assert rule(video_item(row), resize_rules["patch_size"]) == [expected], row
        assert rule(image_items(row), resize_rules["patch_size"]) == [expected] * row["num_items"], row


def test_mixed_merge_sizes_follow_the_official_rule_or_are_refused(resize_rules):
    for row in resize_rules["mixed_merge"]:
        items = [ItemSize(i["frames"], i["height"], i["width"], i["merge_size"]) for i in row["items"]]
        rule = OfficialResize(max_tokens=row["max_tokens"])
        if any(0 in size for size in row["official"]):
            with pytest.raises(InputError, match="has no minimum"):
                rule(items, resize_rules["patch_size"])
        else:
            assert rule(items, resize_rules["patch_size"]) == [tuple(size) for size in row["official"]], row


@pytest.mark.parametrize(
    ("column", "items_of"), [("transformers_image", image_items), ("transformers_video", video_item)]
)
def test_the_rule_of_transformers_gives_its_sizes_or_refuses_as_it_does(resize_rules, column, items_of):
    for row in resize_rules["same_merge"]:
        items, rule = items_of(row)[:1], TransformersResize(**budget(row))
        if row[column] is None:
            with pytest.raises(InputError, match="at most 200 times"):
                rule(items, resize_rules["patch_size"])
        else:
            assert rule(items, resize_rules["patch_size"]) == [tuple(row[column])], row


def test_an_image_without_pixels_is_refused():
    with pytest.raises(InputError, match="item 1 is empty"):
        OfficialResize()([ItemSize(1, 28, 28, 1), ItemSize(1, 0, 28, 1)], 14)


def test_more_frames_than_pixels_in_the_budget_are_refused():
    with pytest.raises(InputError, match="less than a pixel"):
        OfficialResize(min_tokens=1, max_tokens=1)([ItemSize(1000, 28, 28, 2)], patch_size=1)


def test_a_minimum_above_the_maximum_is_refused():
    with pytest.raises(ConfigError, match="min_tokens"):
        OfficialResize(min_tokens=20, max_tokens=10)


def test_frames_of_the_right_size_are_not_copied():
    frames = np.zeros((2, 28, 28, 3), np.uint8)
    assert resize_frames(frames, 28, 28) is frames


def test_a_video_is_resampled_frame_by_frame():
    frames = np.stack([np.full((30, 50, 3), level, np.uint8) for level in (0, 100, 255)])
    resized = resize_frames(frames, 14, 28)
    assert resized.shape == (3, 14, 28, 3)
    assert [np.unique(frame).tolist() for frame in resized] == [[0], [100], [255]]


def test_torch_resampling_stays_within_a_level_of_transformers(golden_dir):
    folder = golden_dir / "videollama3/preprocessing"
    cases = json.loads((folder / "transformers_cases.json").read_text())["cases"]
    stored = load_file(folder / "transformers.safetensors")
    checked = 0
    for name, case in cases.items():
        if f"{name}.torchvision_levels" not in stored:
            continue
        inputs = load_file(folder / f"{name}.safetensors")
        rows = []
        for index, (height, width) in enumerate(case["resized"]):
            item = inputs[f"item_{index}"]
            frames = item if item.ndim == 4 else item[None]
            rows.append(_levels(resize_frames(frames, height, width, resampler="torch"), case["merge_size"]))
        difference = np.abs(np.concatenate(rows).astype(int) - stored[f"{name}.torchvision_levels"])
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01
        checked += 1
    assert checked


def _levels(frames, merge_size):
    from kinema.processors.patches import to_patches

    values = to_patches(frames, patch_size=14, merge_size=merge_size).numpy()
    return np.searchsorted(NORMALISED, values).astype(np.uint8)
