from dataclasses import replace

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.languagebind.start import start_from_image
from kinema.modules.vision.clip import CLIPVision, CLIPVisionConfig

IMAGE = CLIPVisionConfig(
    hidden_size=64, intermediate_size=32, num_layers=2, num_heads=2, image_size=(8, 8), patch_size=4
)


@pytest.fixture(scope="module")
def image() -> CLIPVision:
    torch.manual_seed(0)
    return CLIPVision(IMAGE).eval()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_temporal_blocks_start_as_copies_of_the_spatial_ones(image):
    video = start_from_image(image, replace(IMAGE, num_frames=4), generator())
    for new, old in zip(video.layers, image.layers, strict=True):
        assert torch.equal(new.temporal.attention.qkv.weight, old.spatial.attention.qkv.weight)
        assert torch.equal(new.temporal.attention.out.bias, old.spatial.attention.out.bias)
        assert torch.equal(new.temporal.norm.weight, old.spatial.norm1.weight)
        assert torch.equal(new.spatial.mlp.fc1.weight, old.spatial.mlp.fc1.weight)
        assert 0.5 < new.temporal.embedding.std() * 64**0.5 < 2


def test_copies_learn_apart(image):
    video = start_from_image(image, replace(IMAGE, num_frames=4), generator())
    pointers = [tensor.data_ptr() for tower in (image, video) for tensor in tower.parameters()]
    assert len(set(pointers)) == len(pointers)


def test_the_same_generator_draws_the_same_tower(image):
    one, other = (start_from_image(image, replace(IMAGE, num_frames=4), generator()) for _ in range(2))
    assert all(torch.equal(t, other.state_dict()[name]) for name, t in one.state_dict().items())


def test_positions_are_resized_to_the_grid_of_sound(image):
    audio = start_from_image(image, replace(IMAGE, image_size=(4, 20)), generator())
    assert audio.position_embedding.weight.shape == (6, 64)
    assert torch.equal(audio.position_embedding.weight[0], image.position_embedding.weight[0])


@torch.no_grad()
def test_a_tower_of_the_same_form_gives_the_same(image):
    depth, pixels = start_from_image(image, IMAGE, generator()).eval(), torch.randn(2, 1, 3, 8, 8)
    assert torch.equal(depth(pixels), image(pixels))


def test_every_frame_starts_with_the_class_embedding_of_images(image):
    config = replace(IMAGE, num_frames=4, has_frame_class_embeddings=True)
    classes = start_from_image(image, config, generator()).class_embedding
    assert torch.equal(classes, image.class_embedding.expand(4, 64))


@pytest.mark.parametrize("change", [{"hidden_size": 32}, {"num_layers": 3}, {"intermediate_size": 16}])
def test_a_tower_of_other_widths_is_refused(image, change):
    with pytest.raises(ConfigError, match="other widths, layers or patches"):
        start_from_image(image, replace(IMAGE, num_frames=4, **change), generator())
