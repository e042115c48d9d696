import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kinema.errors import ConfigError
from kinema.modules.vision.navit import NaViT, NaViTConfig, frame_lengths, merge_tokens, split_frames

CONFIG = NaViTConfig(hidden_size=16, intermediate_size=64, num_layers=2, num_heads=2, patch_size=2)


@pytest.fixture(scope="module")
def encoder() -> NaViT:
    torch.manual_seed(0)
    return NaViT(CONFIG).eval()


def pack(*items):
    """Pixels, ``grid_thw`` and ``merge_sizes`` of items (frames, rows, columns, merge size)."""
    grid_thw = torch.tensor([item[:3] for item in items])
    pixels = torch.randn(int(grid_thw.prod(-1).sum()), 12, generator=torch.Generator().manual_seed(0))
    return pixels, grid_thw, torch.tensor([item[3] for item in items])


@torch.inference_mode()
def test_items_of_a_pack_get_the_features_they_get_alone(encoder):
    pixels, grid_thw, merge_sizes = pack((1, 3, 5, 1), (3, 2, 4, 2), (1, 4, 2, 2))
    together = encoder(pixels, grid_thw, merge_sizes)
    alone, start = [], 0
    for index, size in enumerate(grid_thw.prod(-1).tolist()):
        item = slice(index, index + 1)
        alone.append(encoder(pixels[start : start + size], grid_thw[item], merge_sizes[item]))
        start += size
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_frame_does_not_see_another(encoder):
    pixels, grid_thw, merge_sizes = pack((3, 2, 4, 2))
    before = encoder(pixels, grid_thw, merge_sizes)
    pixels[8:16] += 1.0  # the second frame
    changed = (encoder(pixels, grid_thw, merge_sizes) - before).abs().amax(-1) > 1e-4
    assert changed.tolist() == [False, False, True, True, False, False]


@torch.inference_mode()
def test_equal_frames_get_equal_features(encoder):
    pixels, grid_thw, merge_sizes = pack((1, 2, 4, 2))
    grid_thw[0, 0] = 3
    features = encoder(pixels.repeat(3, 1), grid_thw, merge_sizes)
    torch.testing.assert_close(features, features[:2].repeat(3, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("merge", [1, 2, 3, 4])
def test_merging_is_bilinear_downsampling(merge):
    rows, columns, width = 2 * merge, 3 * merge, 5
    hidden_states = torch.randn(rows * columns, width, generator=torch.Generator().manual_seed(0))
    blocks = hidden_states.view(2, 3, merge, merge, width).permute(4, 0, 2, 1, 3)
    picture = blocks.reshape(1, width, rows, columns)
    expected = F.interpolate(picture, size=(2, 3), mode="bilinear")[0].flatten(1).T
    merged = merge_tokens(hidden_states, torch.tensor([[1, rows, columns]]), torch.tensor([merge]))
    torch.testing.assert_close(merged, expected, atol=1e-6, rtol=0)


def test_every_frame_is_a_segment():
    assert frame_lengths(torch.tensor([[2, 2, 3], [1, 1, 4]])) == [6, 6, 4]


def test_a_pack_is_cut_between_frames_only():
    grid_thw, merge_sizes = torch.tensor([[5, 2, 2], [1, 4, 4], [1, 1, 1]]), torch.tensor([2, 1, 1])
    parts = [
        (grids.tolist(), merges.tolist())
        for grids, merges in split_frames(grid_thw, merge_sizes, max_patches=9)
    ]
    assert parts == [
        ([[2, 2, 2]], [2]),
        ([[2, 2, 2]], [2]),
        ([[1, 2, 2]], [2]),
        ([[1, 4, 4]], [1]),  # larger than the limit, and not cut
        ([[1, 1, 1]], [1]),
    ]


def test_heads_that_cannot_turn_in_two_dimensions_are_refused():
    with pytest.raises(ConfigError, match="hidden_size 20 must be a multiple of 4 x num_heads = 8"):
        NaViTConfig(hidden_size=20, intermediate_size=8, num_layers=1, num_heads=2)


class LargestTensor(TorchDispatchMode):
    """Notes how many numbers the largest tensor holds that is made."""

    numbers = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        result = operator(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return result


@torch.inference_mode()
def largest_tensor(encoder, num_frames, max_patches):
    inputs = pack((num_frames, 4, 4, 2))
    with LargestTensor() as largest:
        encoder(*inputs, max_patches=max_patches)
    return largest.numbers


def test_memory_grows_with_the_number_of_frames_and_not_with_its_square(encoder):
    per_frame = 16 * CONFIG.intermediate_size
    assert [largest_tensor(encoder, num_frames, None) for num_frames in (2, 8)] == [
        2 * per_frame,
        8 * per_frame,
    ]


def test_max_patches_bounds_memory_however_long_the_video(encoder):
    per_frame = 16 * CONFIG.intermediate_size
    assert [largest_tensor(encoder, num_frames, 32) for num_frames in (2, 8)] == [2 * per_frame] * 2
