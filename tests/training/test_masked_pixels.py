import pytest
import torch

from kinema.errors import ConfigError
from kinema.modules.vision.videomae import VideoMAE, VideoMAEConfig
from kinema.training.masked_pixels import MaskedPixels, MaskedPixelsConfig

SIZES = VideoMAEConfig(hidden_size=16, intermediate_size=32, num_layers=1, num_heads=2, patch_size=4)


@pytest.fixture
def masked():
    torch.manual_seed(0)
    return MaskedPixels(VideoMAE(SIZES), MaskedPixelsConfig(decoder=SIZES, mask_ratio=0.75))


def test_a_place_is_hidden_at_all_times_or_never(masked):
    order, num_seen = masked._draw(torch.zeros(3, 4, 3, 8, 8), torch.Generator().manual_seed(0))
    assert (order.shape, num_seen) == ((3, 8), 2)  # 2 times x 4 places, of which 1 is seen
    for row in order:
        first, second = row[:num_seen].tolist()
        assert second == first + 4
        assert sorted(row.tolist()) == list(range(8))


def test_hidden_pixels_are_asked_for_and_never_seen(masked):
    guesses = []
    masked.head.register_forward_hook(lambda *arguments: guesses.append(arguments[-1]))
    clips = torch.randn(1, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    order, _ = masked._draw(clips, torch.Generator().manual_seed(1))
    row, column = divmod(int(order[0, -1]), 2)
    changed = clips.clone()
    changed[..., 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 1  # a hidden place
    losses = [masked(pixels, torch.Generator().manual_seed(1)).item() for pixels in (clips, changed)]
    torch.testing.assert_close(guesses[0], guesses[1], rtol=0, atol=0)
    assert losses[0] != losses[1]


def test_a_few_steps_learn_to_paint_one_colour(masked):
    clips = torch.full((2, 2, 3, 8, 8), 0.5)
    optimizer = torch.optim.Adam(masked.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = masked(clips)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10


def test_nothing_or_all_cannot_be_hidden():
    with pytest.raises(ConfigError, match="above 0 and below 1"):
        MaskedPixelsConfig(decoder=SIZES, mask_ratio=1.0)
