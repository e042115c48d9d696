import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kinema.errors import InputError
from kinema.processors.patches import NORMALISED, from_patches, to_patches
from kinema.processors.resize import ItemSize, OfficialResize, resize_frames


@pytest.fixture(scope="session")
def official_cases(golden_dir):
    folder = golden_dir / "videollama3/preprocessing"
    described = json.loads((folder / "official_cases.json").read_text())
    return [
        (described["patch_size"], case, load_file(folder / f"{name}.safetensors"))
        for name, case in described["cases"].items()
    ]


def resized_items(patch_size, case, tensors):
    items = [tensors[f"item_{i}"] for i in range(len(case["items"]))]
    frames = [(item if item.ndim == 4 else item[None]).numpy() for item in items]
    merge_sizes = tensors["merge_sizes"].tolist()
    rule = OfficialResize(min_tokens=case["min_tokens"], max_tokens=case["max_tokens"])
    sizes = rule([ItemSize(*f.shape[:3], m) for f, m in zip(frames, merge_sizes, strict=True)], patch_size)
    assert sizes == [tuple(size) for size in case["resized"]]
    return [(resize_frames(f, *s), m) for f, s, m in zip(frames, sizes, merge_sizes, strict=True)]


def test_levels_equal_the_official_ones_with_any_pillow(official_cases):
    for patch_size, case, tensors in official_cases:
        items = resized_items(patch_size, case, tensors)
        rows = torch.cat([to_patches(f, patch_size=patch_size, merge_size=m) for f, m in items])
        table = torch.from_numpy(NORMALISED)
        assert torch.equal(rows, table[tensors["levels"].long()])
        if "pixel_values" in tensors:
            assert torch.equal(rows, tensors["pixel_values"])


def test_patches_go_back_to_the_frames_they_came_from(official_cases):
    for patch_size, case, tensors in official_cases:
        for frames, merge_size in resized_items(patch_size, case, tensors):
            patches = to_patches(frames, patch_size=patch_size, merge_size=merge_size)
            grid = (len(frames), frames.shape[1] // patch_size, frames.shape[2] // patch_size)
            np.testing.assert_array_equal(from_patches(patches, grid, merge_size=merge_size), frames)


def test_the_patches_of_one_token_stand_together():
    frames = np.zeros((1, 4, 8, 3), np.uint8)
    frames[0, :2, 4:] = 255  # the upper half of the second block
    rows = to_patches(frames, patch_size=2, merge_size=2)
    assert rows[:, 0].tolist() == [-1, -1, -1, -1, 1, 1, -1, -1]


def test_a_row_holds_one_colour_after_the_other():
    frames = np.zeros((1, 2, 2, 3), np.uint8)
    frames[..., 2] = 255
    rows = to_patches(frames, patch_size=2, merge_size=1)
    assert rows.tolist() == [[-1.0] * 8 + [1.0] * 4]


def test_frames_that_do_not_fill_blocks_are_refused():
    with pytest.raises(InputError, match="cannot be cut into blocks of 28"):
        to_patches(np.zeros((1, 28, 42, 3), np.uint8), patch_size=14, merge_size=2)
