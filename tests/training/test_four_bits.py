"""Frozen weights in four bits: what they take, what learns beside them, and how they end in a model."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from shared_captions import join, small_videollama3
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kinema.hub.files import open_checkpoint
from kinema.hub.lora import LoraFiles, parse_adapter_config
from kinema.hub.write import write_tensors
from kinema.models.videollama3.keys import Layout, model_keymap
from kinema.training.accumulation import backward
from kinema.training.adapters import Adapter, add_adapter, merge_adapter, merged_tensors, save_adapter
from kinema.training.checkpoint import Checkpoints, Progress
from kinema.training.four_bits import held_bytes, hold_in_four_bits, unpacked
from kinema.training.losses import NextToken
from kinema.training.optimizer import OptimizerConfig, build_optimizer
from kinema.training.parallel import trainee
from kinema.training.run import RunConfig

pytest.importorskip("bitsandbytes", reason="weights in four bits need the extra 'qlora'")

LANGUAGE = Adapter(parts=("language_model",), rank=2, alpha=4, base_bits=4)
INPUTS = join([0, 1, 2, 3])
MATRICES = 2 * 16 * (32 + 16 + 48 + 24)
"""Weights of the small model that are packed: qkv, out, gate_up and down of two layers."""


def packed_videollama3(dtype=torch.float32) -> nn.Module:
    model = small_videollama3().to(dtype)
    add_adapter(model, LANGUAGE)
    return model.to("cpu")


def logits(model: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(INPUTS)


def learn(model: nn.Module, num_steps: int, optimizer=None, **settings):
    """Losses, and the optimizer."""
    losses = []
    with trainee(model, RunConfig(out_dir=Path(), **settings)) as learner:
        optimizer = optimizer or build_optimizer(model, {"language_model": 0.02}, OptimizerConfig())
        for _ in range(num_steps):
            losses.append(backward(NextToken(), learner, [INPUTS]))
            optimizer.step(1.0)
    return losses, optimizer


def of_layers(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.state_dict().items() if ".base_layer." in name}


def test_a_weight_is_one_of_sixteen_values_times_the_scale_of_its_block():
    model = nn.Sequential(nn.Linear(64, 2, bias=False))
    values = torch.linspace(-1, 1, 64)
    model[0].weight.data = torch.stack([values, 3 * values])
    hold_in_four_bits(model, ["0"])
    first, second = unpacked(model.to("cpu")[0]).weight
    assert torch.equal(second, 3 * first)
    assert len(first.unique()) == 16
    assert {-1.0, 0.0, 1.0} < set(first.tolist())
    assert (first - values).abs().max() < 0.16  # half of the widest step, from -1 to -0.6962


def test_packed_weights_take_half_a_byte_each_and_a_float_for_64():
    layers = [
        module.get_base_layer() for module in packed_videollama3().modules() if hasattr(module, "lora_A")
    ]
    assert {layer.weight.dtype for layer in layers} == {torch.uint8}
    assert sum(layer.weight.untyped_storage().nbytes() for layer in layers) == MATRICES // 2
    assert sum(held_bytes(layer.weight) for layer in layers) == MATRICES // 2 + MATRICES // 64 * 4


def test_shapes_alone_take_what_packed_weights_do():
    with torch.device("meta"):
        model = small_videollama3()
    add_adapter(model, LANGUAGE)
    assert all(parameter.is_meta for parameter in model.parameters())
    ours, packed = (sum(map(held_bytes, each.parameters())) for each in (model, packed_videollama3()))
    assert ours == packed


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [(torch.float32, "float32"), (torch.float32, "bfloat16"), (torch.bfloat16, "bfloat16")],
)
def test_the_loss_falls_and_the_updates_alone_move(dtype, precision):
    model = packed_videollama3(dtype)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    losses, _ = learn(model, 6, precision=precision)
    assert losses[-1] < losses[0] - 0.1
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if ".lora_" in name}


def test_it_learns_what_it_would_beside_the_rounded_weights():
    packed, rounded = packed_videollama3(), small_videollama3()
    rounded.load_state_dict(merged_tensors(packed))
    add_adapter(rounded, Adapter(parts=("language_model",), rank=2, alpha=4))
    assert learn(packed, 3)[0] == pytest.approx(learn(rounded, 3)[0], abs=1e-5)


def test_layers_that_are_computed_again_learn_the_same():
    kept, again = (learn(packed_videollama3(), 3, activation_checkpointing=does)[0] for does in (False, True))
    assert kept == again


def test_an_answer_between_steps_changes_nothing():
    models = packed_videollama3(), packed_videollama3()
    for model in models:
        learn(model, 1)
    logits(models[0])
    assert learn(models[0], 1)[0] == learn(models[1], 1)[0]


def test_a_checkpoint_goes_on_with_the_very_same_losses(tmp_path):
    model = packed_videollama3()
    _, optimizer = learn(model, 2)
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(model, optimizer, Progress(step=2))
    unbroken, _ = learn(model, 2, optimizer)
    resumed = small_videollama3()
    nn.init.ones_(resumed.language_model.layers[0].mlp.down.weight)  # which the checkpoint holds as it was
    add_adapter(resumed, LANGUAGE)
    optimizer = build_optimizer(resumed.to("cpu"), {"language_model": 0.02}, OptimizerConfig())
    checkpoints.load(resumed, optimizer)
    assert learn(resumed, 2, optimizer)[0] == unbroken
    ours, theirs = model.state_dict(), resumed.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_merging_changes_no_answer_and_leaves_the_layers_of_before():
    model, plain = packed_videollama3(), small_videollama3()
    learn(model, 3)
    expected, tensors = logits(model), merged_tensors(model)
    plain.load_state_dict(tensors)
    torch.testing.assert_close(logits(plain), expected, atol=1e-5, rtol=0)
    assert merge_adapter(model) == 8
    merged = model.state_dict()
    assert list(merged) == list(plain.state_dict())
    assert all(torch.equal(merged[name], tensors[name]) for name in merged)
    assert [type(module) for module in model.modules()] == [type(module) for module in plain.modules()]


def test_what_was_bfloat16_before_is_so_again_when_merged():
    model = packed_videollama3(torch.bfloat16)
    layer = model.language_model.layers[0].mlp.down
    expected = unpacked(layer.get_base_layer()).weight.float() + layer.get_delta_weight("default")
    merge_adapter(model)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert torch.equal(model.language_model.layers[0].mlp.down.weight, expected.bfloat16())


def test_updates_alone_are_saved_for_the_weights_of_before(tmp_path):
    model = packed_videollama3()
    learn(model, 3)
    keymap = model_keymap(model.config, Layout.TRANSFORMERS)
    save_adapter(model, keymap, tmp_path / "adapter")
    assert len(load_file(tmp_path / "adapter/adapter_model.safetensors")) == 2 * 2 * 7
    (tmp_path / "base").mkdir()
    write_tensors(tmp_path / "base", keymap.export(small_videollama3().state_dict()))
    config = parse_adapter_config({"r": 2, "lora_alpha": 4})
    sources = (
        open_checkpoint(tmp_path / "base"),
        open_checkpoint(tmp_path / "adapter/adapter_model.safetensors"),
    )
    read = small_videollama3()
    keymap.load_into(read, LoraFiles(*sources, config=config))
    update = (
        read.language_model.layers[0].mlp.down.weight
        - small_videollama3().language_model.layers[0].mlp.down.weight
    )
    learned = model.language_model.layers[0].mlp.down.get_delta_weight("default")
    torch.testing.assert_close(update, learned, atol=1e-6, rtol=0)


def test_operations_of_a_packed_layer_are_counted():
    counts = []
    for model in (plain := nn.Sequential(nn.Linear(64, 32)), nn.Sequential(nn.Linear(64, 32))):
        if model is not plain:
            hold_in_four_bits(model, ["0"])
        with FlopCounterMode(display=False) as counter:
            model.to("cpu")(torch.zeros(2, 5, 64))
        counts.append(counter.get_total_flops())
    assert counts == [2 * 10 * 64 * 32] * 2
