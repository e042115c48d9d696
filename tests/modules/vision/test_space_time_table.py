import pytest
import torch
from golden_case import GoldenCase

from kinema.errors import ConfigError
from kinema.modules.vision.space_time_table import (
    Grid,
    SpaceTimeTable,
    resize_space_time,
    sine_cosine_table,
)


@pytest.fixture(scope="module")
def case(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/A_position_tables")


def test_sine_cosine_tables_equal_the_original(case):
    for index, (channels, side, frames) in enumerate(case.config["sincos"]):
        case.check(sine_cosine_table(channels, Grid(frames, side, side))[None], f"sincos.{index}")


def test_tables_are_interpolated_as_the_original_does(case):
    for index, sizes in enumerate(case.config["interpolate"]):
        old, new = (Grid(sizes[f"t{n}"], sizes[f"g{n}"], sizes[f"g{n}"]) for n in (0, 1))
        for name in (f"interpolate.{index}.pos_embed", f"interpolate.{index}.clip_pos_embed"):
            case.check(resize_space_time(case.inputs[name][0], old, new)[None], name)


def test_time_is_told_by_the_first_quarter_then_x_then_y():
    rows = sine_cosine_table(16, Grid(2, 2, 2))[1:].view(2, 2, 2, 16)
    later, right, lower = rows[1, 0, 0], rows[0, 0, 1], rows[0, 1, 0]
    changed = [(row != rows[0, 0, 0]).nonzero().flatten().tolist() for row in (later, right, lower)]
    assert changed == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9], [10, 11, 12, 13, 14, 15]]
    angles = torch.tensor([1.0, 0.01])
    torch.testing.assert_close(later[:4], torch.cat([angles.sin(), angles.cos()]))


def table_of(grid: Grid, **choices) -> SpaceTimeTable:
    table = SpaceTimeTable(16, grid, **choices)
    for parameter in table.parameters():
        parameter.data += torch.randn_like(parameter)
    return table


@torch.no_grad()
def test_an_image_gets_its_own_rows_or_the_mean_over_time():
    grid, image = Grid(2, 2, 2), Grid(1, 2, 2)
    own = table_of(grid, has_image_table=True)
    assert torch.equal(own(image), own.image)
    shared = table_of(grid)
    frames = shared.video[1:].view(2, 4, 16)
    torch.testing.assert_close(shared(image), torch.cat([shared.video[:1], (frames[0] + frames[1]) / 2]))


@torch.no_grad()
def test_a_clip_may_be_longer_and_of_another_shape_than_the_table():
    table = table_of(Grid(4, 2, 2))
    assert table(Grid(64, 3, 5)).shape == (1 + 64 * 15, 16)
    assert torch.equal(table(Grid(64, 3, 5))[0], table.video[0])
    assert table_of(Grid(4, 2, 2), has_class_row=False)(Grid(8, 3, 5)).shape == (8 * 15, 16)


@torch.no_grad()
def test_a_stored_resize_reads_as_the_interpolation_did():
    table, longer = table_of(Grid(4, 2, 2), has_image_table=True), Grid(8, 3, 3)
    video, image = table(longer), table(Grid(1, 3, 3))
    table.resize(longer)
    assert table.grid == longer
    assert torch.equal(table(longer), video)
    assert torch.equal(table(Grid(1, 3, 3)), image)


def test_a_table_of_another_grid_is_refused():
    with pytest.raises(ConfigError, match="10 rows is not of Grid"):
        resize_space_time(torch.zeros(10, 16), Grid(2, 2, 2), Grid(4, 2, 2))


def test_channels_that_cannot_be_divided_are_refused():
    with pytest.raises(ConfigError, match="that 16 divides, got 24"):
        sine_cosine_table(24, Grid(1, 1, 1))
