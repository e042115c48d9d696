import math

import pytest
import torch

from kinema.modules.rope import apply_rope, patch_angles, patch_positions, rotation, text_angles


def test_angles_of_text_fall_by_powers_of_theta():
    angles = text_angles(torch.tensor([[0, 1, 2]]), head_dim=4, theta=100.0)
    torch.testing.assert_close(angles, torch.tensor([[[0.0, 0.0], [1.0, 0.1], [2.0, 0.2]]]))


def test_angles_of_patches_are_those_of_the_row_and_then_of_the_column():
    angles = patch_angles(torch.tensor([[3, 5]]), head_dim=8, theta=100.0)
    torch.testing.assert_close(angles, torch.tensor([[3.0, 0.3, 5.0, 0.5]]))


def test_patches_that_are_not_merged_stand_in_reading_order_in_every_frame():
    positions = patch_positions(torch.tensor([[2, 2, 3]]), torch.tensor([1]))
    frame = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert positions.tolist() == frame + frame


def test_patches_of_one_token_stand_together():
    positions = patch_positions(torch.tensor([[1, 2, 4]]), torch.tensor([2]))
    assert positions.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2], [0, 3], [1, 2], [1, 3]]


def test_every_item_of_a_pack_begins_at_the_origin():
    positions = patch_positions(torch.tensor([[1, 1, 2], [1, 2, 2]]), torch.tensor([1, 2]))
    assert positions.tolist() == [[0, 0], [0, 1], [0, 0], [0, 1], [1, 0], [1, 1]]


def test_a_quarter_turn_moves_the_first_half_into_the_second():
    cos, sin = rotation(torch.tensor([math.pi / 2, 0.0]))
    turned = apply_rope(torch.tensor([1.0, 2.0, 3.0, 4.0]), cos, sin)
    torch.testing.assert_close(turned, torch.tensor([-3.0, 2.0, 1.0, 4.0]))


def test_products_of_queries_and_keys_depend_on_their_distance_only():
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, 16, generator=generator)

    def product(query_at, key_at):
        positions = torch.tensor([[query_at], [key_at]])
        cos, sin = rotation(text_angles(positions, 16, 10000.0))
        return float((apply_rope(query, cos[0], sin[0]) * apply_rope(key, cos[1], sin[1])).sum())

    assert product(7, 3) == pytest.approx(product(1007, 1003), abs=1e-4)
    assert abs(product(7, 3) - product(12, 3)) > 0.1


def test_half_precision_is_turned_in_float32():
    cos, sin = rotation(torch.tensor([0.001]))
    x = torch.tensor([1.0, 1.0], dtype=torch.bfloat16)
    expected = torch.tensor([cos[0] - sin[0], cos[0] + sin[0]]).bfloat16()
    assert torch.equal(apply_rope(x, cos, sin), expected)
