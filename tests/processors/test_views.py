import numpy as np
import pytest
import torch
from numbered_clips import STEP, encode

from kinema.errors import ConfigError
from kinema.processors.views import ViewsConfig, clip_indices, crop_views, read_views


def levels(views: torch.Tensor) -> torch.Tensor:
    """The first channel, from 0 to 255."""
    return (views[:, :, 0] * 0.229 + 0.485) * 255


@pytest.mark.parametrize("rule", ["sparse", "ssv2", "dense"])
def test_a_file_is_read_at_the_frames_of_its_clips(rule):
    config = ViewsConfig(num_frames=4, num_clips=2, num_crops=3, size=14, rule=rule)
    views = read_views(encode("matroska", "ffv1", count=30), config)
    assert views.shape == (6, 4, 3, 14, 14)
    seen = (levels(views).mean((-1, -2)) / STEP).round().int()
    expected = clip_indices(30, config)
    assert seen[0].tolist() == seen[2].tolist() == expected[0].tolist()
    assert seen[3].tolist() == expected[1].tolist()
    assert (
        expected.tolist()
        == {
            "sparse": [[2, 9, 16, 24], [4, 11, 18, 26]],
            "ssv2": [[0, 7, 15, 22], [3, 11, 18, 26]],
            "dense": [[0, 4, 8, 12], [14, 18, 22, 26]],
        }[rule]
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_squares_lie_along_the_longer_side(axis):
    ramp = np.linspace(0, 255, 60, dtype=np.uint8)
    picture = np.repeat(ramp[:, None], 20, axis=1) if axis == 0 else np.repeat(ramp[None], 20, axis=0)
    frames = np.repeat(picture[None, :, :, None], 3, axis=3)
    three = levels(crop_views(frames, ViewsConfig(num_crops=3, size=10)))
    assert three.shape == (3, 1, 10, 10)
    assert three.mean((1, 2, 3)).tolist() == pytest.approx([42, 127, 213], abs=2)
    one = levels(crop_views(frames, ViewsConfig(num_crops=1, size=10)))
    torch.testing.assert_close(one, three[1:2])


def test_numbers_below_one_are_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        ViewsConfig(num_crops=0)
