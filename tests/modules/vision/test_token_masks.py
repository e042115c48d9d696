import pytest
import torch

from kinema.errors import ConfigError
from kinema.modules.vision.token_masks import mask_by_attention


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_every_row_keeps_equally_many_and_the_class_token_stays():
    mask = mask_by_attention(torch.rand(3, 8, 256), 0.8, generator())
    assert mask.shape == (3, 1 + 2048)
    assert mask[:, 0].all()
    assert (mask[:, 1:].view(3, 8, 256).sum(-1) == 52).all()


def test_a_whole_clip_keeps_as_many_as_published():
    assert mask_by_attention(torch.rand(1, 1, 2048), 0.8).sum() == 1 + 410


def test_patches_are_drawn_as_often_as_they_were_attended_to():
    attention = torch.tensor([0.1, 0.2, 0.7]).expand(2000, 1, 3)
    drawn = mask_by_attention(attention, 0.67, generator())[:, 1:].float().mean(0)  # one of three
    torch.testing.assert_close(drawn, torch.tensor([0.1, 0.2, 0.7]), atol=0.03, rtol=0)


def test_patches_nobody_attended_to_fill_a_row_that_would_be_too_short():
    attention = torch.tensor([[[0.0, 1.0, 0.0, 0.0]]], dtype=torch.bfloat16)
    mask = mask_by_attention(attention, 0.5, generator())
    assert mask[0, 2]
    assert mask.sum() == 3


def test_the_generator_decides():
    attention = torch.rand(1, 1, 64)
    one, other = (mask_by_attention(attention, 0.5, generator()) for _ in range(2))
    assert torch.equal(one, other)


def test_a_ratio_that_leaves_nothing_is_refused():
    with pytest.raises(ConfigError, match="from 0 to below 1"):
        mask_by_attention(torch.rand(1, 1, 4), 1.0)
