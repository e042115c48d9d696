import pytest
import torch
from numbered_clips import encode

from kinema.errors import InputError
from kinema.evaluation.actions import class_probabilities, recognise_videos, top_shares
from kinema.processors.views import ViewsConfig


class Bright(torch.nn.Module):
    """Class 0 for dark views, 1 for bright ones."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(10.0))

    def forward(self, pixels):
        light = self.scale * pixels.mean((1, 2, 3, 4))
        return torch.stack([-light, light], dim=-1)


def test_views_vote_with_their_probabilities():
    views = torch.tensor([1.0, -1.0, 1.0]).view(3, 1, 1, 1, 1).expand(3, 1, 3, 2, 2)
    for batch_size in (1, 2, 3):
        shares = class_probabilities(Bright(), views, batch_size=batch_size)
        torch.testing.assert_close(shares, torch.tensor([1 / 3, 2 / 3]))


def test_the_right_class_may_be_among_the_most_likely():
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    shares = top_shares(probabilities, torch.tensor([0, 1, 0]), ranks=(1, 2, 5))
    assert shares == {1: pytest.approx(1 / 3), 2: pytest.approx(2 / 3), 5: 1.0}


def test_videos_are_read_and_scored(tmp_path):
    (tmp_path / "dark.mp4").write_bytes(encode("mp4", "mpeg4", count=8))
    (tmp_path / "film.mp4").write_bytes(encode("mp4", "mpeg4", count=30))
    config = ViewsConfig(num_frames=2, num_clips=2, num_crops=1, size=14)
    videos = [(tmp_path / "dark.mp4", 0), (tmp_path / "film.mp4", 0), (tmp_path / "film.mp4", 1)]
    assert recognise_videos(Bright(), videos, config)[5] == 1.0
    with pytest.raises(InputError, match="no video to score"):
        recognise_videos(Bright(), [], config)
