import numpy as np
import torch

from kinema.processors.query_inputs import QueryInputs, SoundInputs
from kinema.processors.square_pixels import square_pixels


def inputs(*num_views):
    return QueryInputs(items=tuple(torch.zeros(views, 1, 3, 2, 2) for views in num_views), tokens_per_view=4)


def test_every_view_counts_its_tokens():
    assert inputs(1, 3).num_tokens == 16


def test_samples_are_joined_in_order_and_a_cut_one_keeps_its_first_tokens():
    cut = inputs(2).first_tokens(5)
    joined = QueryInputs.join([inputs(1), cut])
    assert joined.num_tokens == 9
    assert joined.keep_mask.tolist() == [True] * 9 + [False] * 3
    assert [len(views) for views in joined.items] == [1, 2]
    assert joined.kept(1).tolist() == [[[True] * 4], [[True, False, False, False]]]
    assert inputs(1).first_tokens(0) is None


def test_what_is_seen_of_all_of_an_item_can_be_looked_at():
    frame = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    views = torch.stack([torch.zeros(1, 3, 4, 4), square_pixels([frame], size=4)])
    shown = QueryInputs(items=(views,), tokens_per_view=1).frames(0)
    np.testing.assert_array_equal(shown[0], frame)


def test_pixels_change_their_dtype_and_the_mask_does_not():
    moved = inputs(2).first_tokens(1).to("cpu", torch.bfloat16)
    assert moved.items[0].dtype == torch.bfloat16
    assert moved.keep_mask.dtype == torch.bool


def test_sounds_are_looked_at_as_pictures_with_low_tones_below_and_time_to_the_right():
    bank = torch.zeros(1, 3, 2)  # three frames of two bins
    bank[0, 2, 0] = 1.0
    (picture,) = SoundInputs(items=(bank,), tokens_per_view=1).frames(0)
    assert picture[..., 0].tolist() == [[0, 0, 0], [0, 0, 255]]


def test_silence_is_a_dark_picture():
    assert SoundInputs(items=(torch.full((1, 3, 2), -1.2),), tokens_per_view=1).frames(0).max() == 0
