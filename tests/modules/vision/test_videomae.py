import pytest
import torch
from torch.nn import functional as F

from kinema.errors import ConfigError, InputError
from kinema.modules.vision.videomae import VideoMAE, VideoMAEConfig, sinusoid_table

CONFIG = VideoMAEConfig(hidden_size=16, intermediate_size=32, num_layers=2, num_heads=2, patch_size=4)


def test_tubelets_are_cut_as_a_convolution_over_two_frames_does():
    encoder, pixels = VideoMAE(CONFIG), torch.randn(2, 4, 3, 8, 12)
    kernel = encoder.patch_embedding.weight.view(16, 3, 2, 4, 4)
    convolved = F.conv3d(pixels.transpose(1, 2), kernel, encoder.patch_embedding.bias, stride=(2, 4, 4))
    expected = convolved.flatten(2).transpose(1, 2) + sinusoid_table(12, 16)
    torch.testing.assert_close(next(encoder.hidden_states(pixels)), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_last_hidden_state_is_normed():
    encoder, pixels = VideoMAE(CONFIG), torch.randn(1, 2, 3, 4, 4)
    *_, last = encoder.hidden_states(pixels)
    assert torch.equal(encoder(pixels), encoder.final_norm(last))


@pytest.mark.parametrize(
    "shape", [(1, 3, 3, 8, 8), (1, 2, 3, 8, 9), (1, 2, 1, 8, 8), (0, 2, 3, 8, 8), (2, 3, 8, 8)]
)
def test_clips_of_another_form_are_refused(shape):
    with pytest.raises(InputError, match="frames even"):
        VideoMAE(CONFIG)(torch.zeros(shape))


def test_sizes_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="multiple of 3 heads"):
        VideoMAEConfig(hidden_size=16, num_heads=3)
