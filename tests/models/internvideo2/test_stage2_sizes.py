"""Stage 2 at its published sizes, on torch's meta device."""

import pytest
import torch

from kinema.models.internvideo2.stage2 import InternVideo2Stage2
from kinema.models.internvideo2.stage2_keys import stage2_keymap
from kinema.models.internvideo2.stage2_sizes import stage2_1b, stage2_6b


@pytest.mark.parametrize(("config", "num_vision_tensors"), [(stage2_1b(), 569), (stage2_6b(), 671)])
def test_the_file_has_the_tensors_of_its_parts(config, num_vision_tensors):
    with torch.device("meta"):
        model = InternVideo2Stage2(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    inventory = stage2_keymap(config).inventory(shapes)
    assert sum(key.startswith("vision_encoder.") for key in inventory) == num_vision_tensors
    assert sum(key.startswith("audio_encoder.") for key in inventory) == (0 if config.sound is None else 239)


def test_the_1b_is_as_large_as_its_file_of_two_bytes_a_weight():
    with torch.device("meta"):
        model = InternVideo2Stage2(stage2_1b())
    size_bytes = 2 * sum(parameter.numel() for parameter in model.parameters())
    assert round(size_bytes / 1e9, 2) == 2.82


def test_projections_are_as_wide_as_published():
    with torch.device("meta"):
        small, large = InternVideo2Stage2(stage2_1b()), InternVideo2Stage2(stage2_6b())
    assert small.vision_projection.weight.shape == (512, 768)
    assert small.text_projection.weight.shape == (512, 1024)
    assert large.hearing.joint_projection.weight.shape == (768, 1536)
    assert small.text_encoder.layers[19].cross_attention.key_value.weight.shape == (2048, 1408)
    assert large.text_encoder.layers[19].cross_attention.key_value.weight.shape == (2048, 768)
