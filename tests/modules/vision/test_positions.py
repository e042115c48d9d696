import re

import pytest
import torch
from safetensors.torch import load_file

from kinema.errors import ConfigError
from kinema.modules.vision.positions import resize_positions


def grids(name: str) -> list[tuple[int, int]]:
    """``grid_4x4_to_2x6`` -> [(4, 4), (2, 6)]."""
    return [(int(rows), int(columns)) for rows, columns in re.findall(r"(\d+)x(\d+)", name)]


def test_a_table_is_resized_as_the_original_does(golden_dir):
    tables = load_file(golden_dir / "video_llava" / "position_table.safetensors")
    names = {key.partition(".")[0] for key in tables}
    assert names
    for name in names:
        resized = resize_positions(tables[f"{name}.before"], *grids(name))
        torch.testing.assert_close(resized, tables[f"{name}.after"], atol=1e-5, rtol=0)


def test_the_row_of_the_class_token_is_copied():
    table = torch.randn(5, 4)
    assert torch.equal(resize_positions(table, (2, 2), (3, 4))[0], table[0])


def test_a_table_of_another_grid_is_refused():
    with pytest.raises(ConfigError, match="5 rows is not of a grid of 2 x 3"):
        resize_positions(torch.zeros(5, 4), (2, 3), (3, 4))
