import torch

from kinema.modules.vision.temporal import frame_table


def test_a_table_stretched_in_time_keeps_its_ends_and_fills_in_lines():
    table = torch.tensor([[0.0, 8.0], [2.0, 0.0]])
    stretched = frame_table(table, 5)
    torch.testing.assert_close(stretched[:, 0], torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]))
    torch.testing.assert_close(stretched[:, 1], torch.tensor([8.0, 6.0, 4.0, 2.0, 0.0]))


def test_a_table_shrunk_in_time_keeps_its_ends():
    assert frame_table(torch.arange(5.0)[:, None], 3)[:, 0].tolist() == [0.0, 2.0, 4.0]


def test_a_table_of_the_wanted_length_is_left_alone():
    table = torch.randn(8, 4)
    assert frame_table(table, 8) is table


def test_a_single_frame_gets_the_first_row():
    assert frame_table(torch.tensor([[3.0], [5.0]]), 1).tolist() == [[3.0]]


def test_a_table_keeps_its_dtype():
    assert frame_table(torch.randn(8, 4).bfloat16(), 3).dtype == torch.bfloat16
