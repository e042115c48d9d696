"""The forecast against what autograd really keeps, and against numbers that fit in the head."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from kinema.datasets.mixture import mixture
from kinema.models.videollama3.config import VideoLLaMA3Config, videollama3_7b
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig
from kinema.training.adapters import Adapter, add_adapter
from kinema.training.memory import forecast_training
from kinema.training.optimizer import build_optimizer
from kinema.training.run import RunConfig
from kinema.training.stage import Stage

NUM_TOKENS, NUM_PATCHES = 256, 512
MARGIN = 0.15
RUN = RunConfig(out_dir=Path())
ALL = {"vision_encoder": 1e-5, "connector": 1e-5, "language_model": 1e-5}


def stage(rates, batch_size=1):
    return Stage(
        name="tune", learning_rates=rates, data=mixture((None, 1.0)), num_steps=1, batch_size=batch_size
    )


def small_model():
    language = DecoderConfig(
        vocab_size=32,
        hidden_size=64,
        intermediate_size=160,
        num_layers=6,
        num_heads=4,
        num_kv_heads=2,
        head_dim=16,
        max_positions=NUM_TOKENS,
    )
    vision = NaViTConfig(hidden_size=48, intermediate_size=96, num_layers=4, num_heads=4, patch_size=4)
    return VideoLLaMA3(VideoLLaMA3Config(vision=vision, language=language))


def activations_that_are_kept(rates, run):
    """Bytes of all tensors that autograd holds before it goes back, weights not among them."""
    model = small_model()
    build_optimizer(model, rates, stage(rates).optimizer)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = (
            tensor  # which stays, so that its place is not taken again
        )
        return tensor

    with (
        torch.autocast("cpu", torch.bfloat16, enabled=run.precision == "bfloat16"),
        saved_tensors_hooks(keep, keep),
    ):
        visual = model.vision_encoder(
            torch.randn(NUM_PATCHES, 48), torch.tensor([[2, 16, 16]]), torch.tensor([2])
        )
        embeds = torch.cat([model.connector(visual), torch.randn(NUM_TOKENS - len(visual), 64)])[None]
        states = model.language_model(embeds, torch.arange(NUM_TOKENS)[None])
    assert states.requires_grad
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)


def forecast_small(rates, run, devices=(1,), labelled=0, batch_size=1):
    tokens = {"vision_encoder": NUM_PATCHES, "language_model": NUM_TOKENS}
    plan = stage(rates, batch_size)
    return forecast_training(small_model(), plan, run, tokens=tokens, labelled=labelled, devices=devices).rows


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "rates",
    [ALL, {"language_model": 1e-5}, {"connector": 1e-5}],
    ids=["all", "language model", "connector"],
)
def test_activations_are_forecast_within_the_margin(rates, precision):
    run = replace(RUN, precision=precision)
    (found,) = forecast_small(rates, run)
    forecast = found.activations + found.gathered  # copies of weights in bfloat16 are kept too
    assert forecast == pytest.approx(activations_that_are_kept(rates, run), rel=MARGIN)


def test_with_checkpointing_a_layer_keeps_what_enters_it_and_one_works():
    kept, rest = (
        forecast_small({"language_model": 1e-5}, replace(RUN, activation_checkpointing=does))[0].activations
        for does in (False, True)
    )
    assert rest == 6 * NUM_TOKENS * 64 * 4 + kept // 6


def test_what_learns_has_gradients_and_two_states():
    (found,) = forecast_small({"connector": 1e-5}, RUN)
    connector = sum(some.nbytes for some in small_model().connector.parameters())
    assert (found.gradients, found.optimizer) == (connector, 2 * connector)


def test_of_a_part_with_updates_these_alone_have_states():
    model = small_model()
    add_adapter(model, Adapter(parts=("language_model",), rank=2))
    updates = sum(some.nbytes for name, some in model.named_parameters() if ".lora_" in name)
    plan = stage({"language_model": 1e-4})
    (found,) = forecast_training(model, plan, RUN, tokens={}, labelled=0, devices=(1,)).rows
    assert (found.gradients, found.optimizer) == (updates, 2 * updates)


def test_weights_in_four_bits_take_nine_sixteenths_of_a_byte_and_one_is_unpacked_at_a_time():
    pytest.importorskip("bitsandbytes", reason="weights in four bits need the extra 'qlora'")
    plan, tokens, found = stage({"language_model": 1e-4}), {"language_model": NUM_TOKENS}, {}
    for bits in (None, 4):
        with torch.device("meta"):
            model = small_model()
        add_adapter(model, Adapter(parts=("language_model",), rank=2, base_bits=bits))
        (found[bits],) = forecast_training(model, plan, RUN, tokens=tokens, labelled=0, devices=(1,)).rows
    matrices = 6 * 64 * (128 + 64 + 320 + 160)
    assert found[None].weights - found[4].weights == matrices * (4 - 9 / 16)
    assert found[4].work - found[None].work == 64 * 320 * 4
    assert found[4].activations == found[None].activations


def test_logits_count_as_floats_as_logarithms_and_as_gradients():
    (found,) = forecast_small(ALL, RUN, labelled=10**6)
    assert found.work == 3 * 4 * 32 * 10**6


def test_devices_share_a_batch_and_shards():
    run = replace(RUN, shard=("language_model", "connector", "vision_encoder"), max_samples_at_once=4)
    alone, two, eight = forecast_small(ALL, run, devices=(1, 2, 8), batch_size=16)
    assert [row.samples_at_once for row in (alone, two, eight)] == [4, 4, 2]
    assert eight.weights == pytest.approx(alone.weights / 8, rel=0.001)
    assert eight.optimizer == pytest.approx(alone.optimizer / 8, rel=0.001)
    assert eight.activations == alone.activations / 2
    assert (alone.gathered, eight.gathered) == (0, two.gathered)


def test_what_is_not_spread_is_whole_on_every_device():
    alone, eight = forecast_small(ALL, replace(RUN, shard=("language_model",)), devices=(1, 8))
    language = sum(some.nbytes for some in small_model().language_model.parameters())
    assert eight.weights == pytest.approx(alone.weights - language * 7 / 8, rel=0.001)


def test_the_published_7b_is_planned_without_weights():
    with torch.device("meta"):
        model = VideoLLaMA3(videollama3_7b())
    run = replace(RUN, precision="bfloat16", shard=("language_model",), max_samples_at_once=1)
    found = forecast_training(
        model,
        stage(ALL, batch_size=128),
        replace(run, activation_checkpointing=True),
        tokens={"language_model": 16384, "vision_encoder": 40960},
        labelled=1024,
    )
    alone, eight, many = found.rows
    assert alone.weights == pytest.approx(8.04e9 * 4, rel=0.01)
    assert alone.total > 8.04e9 * 16 > 80e9 > eight.total > 40e9 > many.total
    assert "64        1" in str(found)
    assert found.to_dict()["8"]["total"] == eight.total
