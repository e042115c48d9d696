import warnings
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from kinema.errors import ConfigError, InputError, ModelWarning
from kinema.modules.vision.clip import CLIPVision, CLIPVisionConfig, PatchDropout, cut_patches

IMAGE = CLIPVisionConfig(
    hidden_size=16, intermediate_size=32, num_layers=3, num_heads=2, image_size=(8, 12), patch_size=4
)
VIDEO = replace(IMAGE, num_frames=4)


def build(config: CLIPVisionConfig) -> CLIPVision:
    torch.manual_seed(0)
    tower = CLIPVision(config).eval()
    for parameter in tower.parameters():  # no norm of ones, no bias of zeros: each must matter
        parameter.data += 0.1 * torch.randn_like(parameter)
    return tower


@pytest.fixture(scope="module")
def image_tower() -> CLIPVision:
    return build(IMAGE)


@pytest.fixture(scope="module")
def video_tower() -> CLIPVision:
    return build(VIDEO)


def clips(batch: int, frames: int) -> torch.Tensor:
    return torch.randn(batch, frames, 3, 8, 12, generator=torch.Generator().manual_seed(1))


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def differ(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).abs().max() > 1e-3)


def test_the_grid_of_a_sound_is_that_of_its_mel_bins_and_columns():
    audio = replace(IMAGE, image_size=(126, 1036), patch_size=14)
    assert audio.grid == (9, 74)
    assert audio.num_tokens == 667


def test_cut_patches_feed_a_linear_layer_as_a_convolution_is_fed():
    pixels, kernel = torch.randn(2, 3, 3, 9, 14), torch.randn(5, 3, 4, 4)
    convolved = F.conv2d(pixels.flatten(0, 1), kernel, stride=4)  # 2 x 3 patches; the rest is not seen
    patches = F.linear(cut_patches(pixels, 4), kernel.flatten(1))
    close(patches, convolved.flatten(2).transpose(1, 2).unflatten(0, (2, 3)))


@torch.no_grad()
@pytest.mark.parametrize("layer", [0, 1, 3, -1, -2, -4])
def test_one_layer_is_that_of_all_hidden_states(video_tower, layer):
    states = list(video_tower.hidden_states(clips(2, 4)))
    assert len(states) == 4
    torch.testing.assert_close(video_tower.encode(clips(2, 4), layer=layer), states[layer], atol=0, rtol=0)


@torch.no_grad()
def test_a_layer_that_is_not_asked_for_is_not_computed(video_tower):
    entered = []
    hooks = [layer.register_forward_pre_hook(lambda *_: entered.append(1)) for layer in video_tower.layers]
    video_tower.encode(clips(1, 4), layer=-2)
    for hook in hooks:
        hook.remove()
    assert len(entered) == 2


@torch.no_grad()
def test_a_vector_of_a_clip_is_the_mean_of_its_class_tokens_after_the_norm(image_tower):
    last = image_tower.encode(clips(2, 3))
    frames = [image_tower.final_norm(last[:, frame, 0]) for frame in range(3)]
    close(image_tower(clips(2, 3)), sum(frames) / 3)


@torch.no_grad()
def test_without_temporal_blocks_every_frame_is_encoded_alone(image_tower):
    pixels = clips(2, 4)
    alone = [image_tower.encode(pixels[:, frame : frame + 1]) for frame in range(4)]
    close(image_tower.encode(pixels), torch.cat(alone, dim=1))


@torch.no_grad()
@pytest.mark.parametrize("frames", [2, 4, 8])
@pytest.mark.filterwarnings("ignore::kinema.errors.ModelWarning")
def test_two_clips_do_not_mix_whatever_their_number_of_frames(video_tower, frames):
    pixels = clips(2, frames)
    together = video_tower.encode(pixels)
    close(together, torch.cat([video_tower.encode(pixels[:1]), video_tower.encode(pixels[1:])]))


@torch.no_grad()
def test_the_order_of_frames_matters_with_temporal_blocks_only(image_tower, video_tower):
    pixels = clips(1, 4)
    backwards = pixels.flip(1)
    close(image_tower.encode(backwards), image_tower.encode(pixels).flip(1))
    close(image_tower(backwards), image_tower(pixels))
    assert differ(video_tower.encode(backwards), video_tower.encode(pixels).flip(1))
    assert differ(video_tower(backwards), video_tower(pixels))


@torch.no_grad()
def test_a_patch_sees_the_same_patch_of_other_frames_before_it_sees_its_own_frame(video_tower):
    temporal = video_tower.layers[0].temporal
    hidden_states = torch.randn(1, 4, 7, 16)
    before = temporal(hidden_states)
    hidden_states[0, 2, 5, 0] += 5.0  # of one feature: a norm takes out what all have
    changed = (temporal(hidden_states) - before).abs().amax(-1)[0] > 1e-4  # (T, N)
    assert changed.sum(0).tolist() == [0, 0, 0, 0, 0, 4, 0]


@torch.no_grad()
def test_the_residual_carries_the_frame_embedding(video_tower):
    temporal = build(VIDEO).layers[0].temporal
    temporal.attention.out.weight.zero_()
    temporal.attention.out.bias.zero_()
    hidden_states = torch.randn(2, 4, 7, 16)
    close(temporal(hidden_states), hidden_states + temporal.embedding[:, :, None])


@torch.no_grad()
def test_a_single_frame_gets_no_embedding_and_is_attended_to(video_tower):
    temporal = video_tower.layers[0].temporal
    frame = torch.randn(2, 1, 7, 16)
    value = temporal.attention.qkv(temporal.norm(frame))[..., 32:]  # softmax over one is 1
    close(temporal(frame), frame + temporal.attention.out(value))


@torch.no_grad()
def test_temporal_blocks_of_zeros_leave_the_spatial_tower(image_tower):
    tower = build(VIDEO)
    tower.load_state_dict(tower.state_dict() | image_tower.state_dict())
    for layer in tower.layers:
        for tensor in (layer.temporal.embedding, *layer.temporal.attention.out.parameters()):
            tensor.zero_()
    close(tower.encode(clips(2, 4)), image_tower.encode(clips(2, 4)))


@torch.no_grad()
@pytest.mark.parametrize(("frames", "rule"), [(1, "no frame embedding"), (7, "interpolated")])
def test_another_number_of_frames_than_learned_is_said_once_a_call(video_tower, frames, rule):
    with pytest.warns(ModelWarning, match=f"clips of 4 frames; one of {frames} gets {rule}") as caught:
        video_tower(clips(1, frames))
    assert len(caught) == 1


@torch.no_grad()
def test_the_learned_number_of_frames_and_a_tower_without_one_are_silent(image_tower, video_tower):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        video_tower(clips(1, 4))
        image_tower(clips(1, 9))


@torch.no_grad()
def test_each_frame_may_have_a_class_embedding_of_its_own():
    tower = build(replace(VIDEO, has_frame_class_embeddings=True))
    assert tower.class_embedding.shape == (4, 16)
    embedded = tower.embed(clips(2, 4))
    close(embedded[:, :, 0], (tower.class_embedding + tower.position_embedding.weight[0]).expand(2, 4, 16))


def test_gelu_and_quick_gelu_are_not_the_same(image_tower):
    quick = CLIPVision(replace(IMAGE, activation="quick_gelu")).eval()
    quick.load_state_dict(image_tower.state_dict())
    assert differ(quick.encode(clips(1, 1)), image_tower.encode(clips(1, 1)))


@pytest.mark.parametrize(
    "shape",
    [
        (3, 8, 12),  # an image without clip and frame
        (1, 3, 8, 12),  # an image without a frame
        (1, 3, 4, 8, 12),  # channels before frames, as the original has them
        (1, 4, 3, 12, 8),
    ],
)
def test_a_tensor_of_another_form_is_refused_with_both_shapes(video_tower, shape):
    with pytest.raises(InputError, match=r"\(clips, frames, 3, 8, 12\)"):
        video_tower(torch.zeros(shape))


def test_a_clip_without_frames_is_refused(image_tower):
    with pytest.raises(InputError, match="at least one"):
        image_tower(clips(1, 0))


def test_a_layer_that_does_not_exist_is_refused(image_tower):
    with pytest.raises(ConfigError, match="0 to 3"):
        image_tower.encode(clips(1, 1), layer=4)


@pytest.mark.parametrize(
    "change",
    [
        {"num_heads": 3},
        {"image_size": (3, 12)},
        {"num_frames": 0},
        {"has_frame_class_embeddings": True},
        {"patch_dropout": 1.0},
    ],
)
def test_a_config_that_cannot_work_is_refused(change):
    with pytest.raises(ConfigError):
        replace(IMAGE, **change)


def test_patch_dropout_keeps_the_class_token_and_the_same_patches_of_all_frames():
    torch.manual_seed(0)
    numbers = torch.arange(11.0)[None, None, :, None].expand(2, 3, 11, 1)
    kept = PatchDropout(0.3)(numbers)[..., 0]  # (B, T, N')
    assert kept.shape == (2, 3, 8)
    assert (kept[:, :, 0] == 0).all()
    assert (kept == kept[:, :1]).all()
    assert not torch.equal(kept[0], kept[1])
    assert all(len(row.unique()) == 8 for row in kept.flatten(0, 1))


def test_evaluation_drops_no_patch():
    tower = build(replace(VIDEO, patch_dropout=0.5))
    assert tower.encode(clips(1, 4)).shape == (1, 4, 7, 16)
    assert tower.train().encode(clips(1, 4)).shape == (1, 4, 4, 16)


def test_gradients_reach_every_parameter_but_those_after_the_layer_read():
    tower = build(VIDEO)
    tower.encode(clips(1, 4), layer=-2).sum().backward()
    idle = {name for name, parameter in tower.named_parameters() if parameter.grad is None}
    assert idle == {name for name in tower.state_dict() if name.startswith(("layers.2.", "final_norm."))}
