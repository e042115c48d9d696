import json

import pytest
import torch
from golden_case import GoldenCase

from kinema.errors import ConfigError
from kinema.processors.hd_tiles import (
    PaddedCanvas,
    TileGrid,
    choose_grid,
    choose_padded_canvas,
    pad_frames,
    tile_views,
)


def test_grids_are_those_of_the_original(golden_dir):
    groups = json.loads((golden_dir / "internvideo2/F_hd_tiling.json").read_text())["groups"]
    assert groups["no_padding"]
    for case in groups["no_padding"]:
        given, expected = case["input"], case["output"]
        size = expected["canvas_height"] // expected["rows"]
        grid = choose_grid(given["height"], given["width"], size=size, max_tiles=given["hd_num"])
        assert grid == (expected["columns"], expected["rows"]), case
        assert grid.columns * grid.rows + 1 == expected["tiles_plus_global"]
        assert (grid.rows * size, grid.columns * size) == (
            expected["canvas_height"],
            expected["canvas_width"],
        )


def test_tiles_and_the_whole_equal_the_original(golden_dir):
    case = GoldenCase(golden_dir / "internvideo2/F_hd_tile_order")
    size, content = case.config["image_size"], case.config
    grid = choose_grid(content["height"], content["width"], size=size, max_tiles=content["hd_num"])
    views = tile_views(case.inputs["frames"], grid, size=size)
    case.check(views, "tiles_then_global")
    rows = views[:-1].unflatten(0, (grid.rows, grid.columns))
    canvas = torch.cat([torch.cat(list(row), dim=-1) for row in rows], dim=-2)
    case.check(canvas, "canvas")


def test_a_wide_frame_is_cut_from_left_to_right():
    frame = torch.zeros(1, 3, 2, 4)
    frame[..., 2:] = 1
    views = tile_views(frame, TileGrid(columns=2, rows=1), size=2)
    assert views.shape == (3, 1, 3, 2, 2)
    assert [view.mean().item() for view in views] == pytest.approx([0.0, 1.0, 0.5])


def test_no_tile_at_all_is_refused():
    with pytest.raises(ConfigError, match="at least one tile"):
        choose_grid(4, 4, size=2, max_tiles=0)


def test_padded_canvases_are_those_of_the_original(golden_dir):
    groups = json.loads((golden_dir / "internvideo2/F_hd_tiling.json").read_text())["groups"]
    assert groups["padding"]
    for case in groups["padding"]:
        given, expected = case["input"], case["output"]
        canvas = choose_padded_canvas(given["height"], given["width"], size=224, max_tiles=given["hd_num"])
        height, width = (224 * side for side in (canvas.grid.rows, canvas.grid.columns))
        assert (height, width) == (expected["canvas_height"], expected["canvas_width"]), case
        assert canvas.top == expected["pad_rows_top"]
        assert height - canvas.height - canvas.top == expected["pad_rows_bottom"]


def test_padded_frames_keep_their_shape_between_white_rows():
    canvas = choose_padded_canvas(2, 8, size=4, max_tiles=2)
    assert canvas == PaddedCanvas(TileGrid(columns=2, rows=1), height=2, top=1)
    placed = pad_frames(torch.zeros(1, 3, 2, 8), canvas, size=4)
    assert placed[0, 0, :, 0].tolist() == [255.0, 0.0, 0.0, 255.0]
    assert placed.shape == (1, 3, 4, 8)
