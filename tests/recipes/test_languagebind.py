from dataclasses import replace

import pytest
import torch

from kinema.datasets.mixture import mixture
from kinema.datasets.toybox_pairs import ToyboxClipPairs
from kinema.errors import ConfigError
from kinema.models.languagebind.config import Modality, languagebind_large
from kinema.models.languagebind.model import LanguageBind
from kinema.recipes.languagebind import languagebind_model, languagebind_stages
from kinema.recipes.nano_languagebind import nano_languagebind
from kinema.training.low_rank import merge_low_rank
from kinema.training.optimizer import build_optimizer

DATA = mixture((ToyboxClipPairs(), 1.0))


def image_model() -> LanguageBind:
    torch.manual_seed(0)
    config = nano_languagebind(Modality.IMAGE, vocab_size=64)
    return LanguageBind(replace(config, vision=replace(config.vision, num_layers=2))).eval()


def learning(model: LanguageBind, modality: Modality, *, low_rank: bool) -> set[str]:
    (stage,) = languagebind_stages(modality, DATA, 10_000, low_rank=low_rank)
    build_optimizer(model, stage.learning_rates, stage.optimizer)
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_a_video_tower_learns_the_published_parts_and_nothing_else():
    video = languagebind_model(image_model(), Modality.VIDEO)
    names = learning(video, Modality.VIDEO, low_rank=True)
    layers = {f"vision_encoder.layers.{index}.temporal" for index in range(2)}
    expected = {f"{layer}.{name}" for layer in layers for name in ("embedding", "norm.weight", "norm.bias")}
    for layer in layers:
        expected |= {f"{layer}.attention.{m}.low_rank.{f}" for m in ("qkv", "out") for f in ("down", "up")}
    always = {"class_embedding", "final_norm.weight", "final_norm.bias"}
    expected |= {f"vision_encoder.{name}" for name in always} | {"visual_projection.weight", "logit_scale"}
    assert names == expected


def test_in_full_the_weights_of_temporal_attention_learn_themselves():
    video = languagebind_model(image_model(), Modality.VIDEO, low_rank=False)
    names = learning(video, Modality.VIDEO, low_rank=False)
    assert "vision_encoder.layers.1.temporal.attention.qkv.weight" in names
    assert not any(".spatial." in name or name.startswith("text") for name in names)


@pytest.mark.parametrize("modality", [Modality.DEPTH, Modality.THERMAL])
def test_other_towers_learn_updates_of_spatial_attention(modality):
    model = languagebind_model(image_model(), modality)
    names = learning(model, modality, low_rank=True)
    assert "vision_encoder.layers.0.spatial.attention.qkv.low_rank.up" in names
    assert not any("mlp" in name or "norm1" in name for name in names)


def test_a_new_model_embeds_as_the_image_model_does_and_can_be_merged():
    image = image_model()
    depth = languagebind_model(image, Modality.DEPTH).eval()
    pixels = torch.randn(2, 1, 3, 112, 112)
    with torch.no_grad():
        before = depth.embed_pixels(pixels)
        torch.testing.assert_close(before, image.embed_pixels(pixels))
        assert merge_low_rank(depth) == 4
        torch.testing.assert_close(depth.embed_pixels(pixels), before)
    assert depth.state_dict().keys() == image.state_dict().keys()


def test_the_temperature_begins_at_seven_hundredths_whatever_images_have_learned():
    image = image_model()
    with torch.no_grad():
        image.logit_scale.fill_(4.6)
    assert languagebind_model(image, Modality.DEPTH).logit_scale.exp().item() == pytest.approx(1 / 0.07)
    assert image.logit_scale.item() == pytest.approx(4.6)


def test_sound_gets_its_own_grid():
    with torch.device("meta"):
        image = LanguageBind(languagebind_large(Modality.IMAGE))
    assert image.config.vision.grid == (16, 16)
    config = replace(nano_languagebind(Modality.IMAGE, 64).vision, patch_size=14)
    small = LanguageBind(replace(nano_languagebind(Modality.IMAGE, 64), vision=config))
    assert languagebind_model(small, Modality.AUDIO).config.vision.grid == (9, 74)


def test_the_published_table_is_what_stages_say():
    (video,) = languagebind_stages(Modality.VIDEO, DATA, 3_000_000, chunk_size=80)
    assert (video.num_steps, video.batch_size) == (16 * 4687, 640)
    assert set(video.learning_rates.values()) == {1e-4}
    assert video.schedule.factor(1999, video.num_steps) == 1.0
    assert video.schedule.factor(999, video.num_steps) == 0.5
    assert (video.optimizer.betas, video.optimizer.eps, video.optimizer.weight_decay) == (
        (0.9, 0.98),
        1e-6,
        0.2,
    )
    assert video.optimizer.max_grad_norm == float("inf")
    assert video.loss.chunk_size == 80


def test_what_was_not_trained_is_refused():
    with pytest.raises(ConfigError, match="image is not trained; these are: video"):
        languagebind_stages(Modality.IMAGE, DATA, 10)
    with pytest.raises(ConfigError, match="only video was trained without low-rank updates, not depth"):
        languagebind_model(image_model(), Modality.DEPTH, low_rank=False)


def test_few_steps_are_not_spent_on_warming_up():
    (stage,) = languagebind_stages(Modality.VIDEO, DATA, 50, batch_size=5, epochs=2)
    assert (stage.num_steps, stage.schedule.num_warmup) == (20, 4)
