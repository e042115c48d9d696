from dataclasses import replace

import pytest
import torch

from kinema.errors import ConfigError, InputError
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2Vision, InternVideo2VisionConfig

CONFIG = InternVideo2VisionConfig(
    hidden_size=32,
    intermediate_size=48,
    num_layers=3,
    num_heads=4,
    num_frames=4,
    image_size=8,
    patch_size=4,
    layer_scale=0.5,
)


@pytest.fixture(scope="module")
def tower() -> InternVideo2Tower:
    torch.manual_seed(0)
    tower = InternVideo2Tower(CONFIG, pooled_size=6).eval()
    for parameter in tower.parameters():  # no bias of zeros, no norm of ones: each must matter
        parameter.data += 0.1 * torch.randn_like(parameter)
    return tower


def clips(batch: int, frames: int, height: int = 8, width: int = 8) -> torch.Tensor:
    return torch.randn(batch, frames, 3, height, width, generator=torch.Generator().manual_seed(1))


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_clips_of_different_sizes_are_encoded_in_one_pack_as_they_are_alone(tower):
    packed = [clips(1, 4)[0], clips(1, 4)[0] + 1, clips(1, 6, 12, 20)[0], clips(1, 1, 4, 8)[0]]
    alone = [tower(clip[None]) for clip in packed]
    for ours, (tokens, _) in zip(tower.encoder.encode_clips(packed), alone, strict=True):
        close(ours, tokens[0])
    close(tower.embed_clips(packed), torch.cat([pooled for _, pooled in alone]))


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 4, 16, 64])
def test_any_number_of_frames_is_taken(tower, frames):
    assert tower(clips(1, frames, 4, 4)).tokens.shape == (1, 1 + frames, 32)


@torch.no_grad()
def test_a_tower_after_a_stored_resize_gives_the_same(tower):
    resized = InternVideo2Tower(CONFIG, pooled_size=6).eval()
    resized.load_state_dict(tower.state_dict())
    resized.encoder.positions.resize(resized.encoder.grid_of(clips(1, 8)))
    close(resized(clips(1, 8)).pooled, tower(clips(1, 8)).pooled)


@torch.no_grad()
def test_dropped_patches_never_enter_and_the_rest_stands_as_if_there_were_no_others(tower):
    pixels = clips(2, 4)
    keep_mask = torch.zeros(2, 17, dtype=torch.bool)
    keep_mask[0, [0, 3, 7]] = keep_mask[1, [0, 1, 16]] = True
    embedded = tower.encoder.embed(pixels)
    kept = tower.encoder.embed(pixels, keep_mask)
    close(kept, torch.stack([embedded[0, [0, 3, 7]], embedded[1, [0, 1, 16]]]))
    assert tower(pixels, keep_mask).tokens.shape == (2, 3, 32)


@torch.no_grad()
def test_layers_after_the_one_that_is_read_are_not_computed(tower):
    ran = []
    hooks = [
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
        for index, layer in enumerate(tower.encoder.layers)
    ]
    tower.encoder.encode(clips(1, 1), layer=-2)
    assert ran == [0, 1]
    tower.encoder.encode_clips([clips(1, 1)[0]], layer=1)
    assert ran == [0, 1, 0]
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def test_pooling_equals_the_formula_written_plainly(tower):
    pool, tokens = tower.pool, tower.encoder(clips(2, 2))
    query = pool.query(pool.query_norm(tokens.mean(1, keepdim=True)))
    key, value = pool.key(pool.key_norm(tokens)), pool.value(pool.value_norm(tokens))
    query, key, value = (x.unflatten(-1, (16, -1)).transpose(1, 2) for x in (query, key, value))
    weights = (query @ key.mT * 2**-0.5).softmax(-1)  # 32 / 16 channels a head
    pooled, counted = pool.attend(tokens)
    close(pooled, pool.out((weights @ value).transpose(1, 2).flatten(1)))
    close(counted, weights.mean(1)[:, 0])
    close(counted.sum(1), torch.ones(2))


def test_every_parameter_learns_from_a_masked_clip(tower):
    keep_mask = torch.ones(1, 17, dtype=torch.bool)
    keep_mask[:, 5:] = False
    tower(clips(1, 4), keep_mask).pooled.square().sum().backward()
    assert all(parameter.grad is not None for parameter in tower.parameters())
    tower.zero_grad()


def test_branches_are_left_out_of_whole_clips_in_training_only():
    torch.manual_seed(0)
    encoder = InternVideo2Vision(replace(CONFIG, drop_path=0.9))
    assert [layer.drop_path for layer in encoder.layers] == pytest.approx([0, 0.45, 0.9])
    pixels = clips(1, 1).expand(16, -1, -1, -1, -1)
    assert len(encoder(pixels).detach().flatten(1).unique(dim=0)) > 1
    assert len(encoder.eval()(pixels).detach().flatten(1).unique(dim=0)) == 1


@pytest.mark.parametrize(
    ("shape", "named"),
    [((1, 2, 3, 8), "(1, 2, 3, 8)"), ((1, 0, 3, 8, 8), "none of them 0"), ((1, 2, 1, 8, 8), "1, 8, 8"),
     ((1, 2, 3, 9, 8), "that 4 divides")],
)  # fmt: skip
def test_pixels_of_another_form_are_refused(tower, shape, named):
    with pytest.raises(InputError) as caught:
        tower(torch.zeros(shape))
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "rows",
    [[[1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0]], [[1, 1, 0, 0], [1, 1, 0, 0]]],
)
def test_a_mask_of_other_tokens_is_refused(tower, rows):
    with pytest.raises(InputError, match="keep_mask"):
        tower(clips(2, 1), torch.tensor(rows, dtype=torch.bool))


def test_no_clips_and_no_such_layer_are_refused(tower):
    with pytest.raises(InputError, match="no clips"):
        tower.encoder.encode_clips([])
    with pytest.raises(ConfigError, match="from 0 to 3, or -4 to -1; got 4"):
        tower.encoder.encode(clips(1, 1), layer=4)


@pytest.mark.parametrize(
    "change",
    [{"hidden_size": 24}, {"num_heads": 5}, {"image_size": 10}, {"num_frames": 0}, {"drop_path": 1.0}],
)
def test_sizes_that_cannot_work_are_refused(change):
    with pytest.raises(ConfigError):
        replace(CONFIG, **change)
