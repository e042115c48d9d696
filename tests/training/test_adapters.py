"""Updates by peft: where they go, what learns, and who can read them."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from shared_captions import RATES, join, small_videollama3
from torch import nn

from kinema.errors import ConfigError, MissingExtraError, WeightsError
from kinema.hub.files import open_checkpoint
from kinema.hub.keymap import KeyMap
from kinema.hub.lora import LoraFiles, parse_adapter_config
from kinema.hub.write import write_tensors
from kinema.models.videollama3.keys import Layout, model_keymap
from kinema.training.accumulation import backward
from kinema.training.adapters import Adapter, add_adapter, merge_adapter, merged_tensors, save_adapter
from kinema.training.losses import NextToken
from kinema.training.optimizer import OptimizerConfig, build_optimizer
from kinema.training.parallel import trainee
from kinema.training.run import RunConfig

LANGUAGE = Adapter(parts=("language_model",), rank=2, alpha=4)
INPUTS = join([0, 1, 2, 3])


def logits(model: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(INPUTS)


def trained(adapter: Adapter = LANGUAGE, rates=RATES) -> nn.Module:
    model = small_videollama3()
    add_adapter(model, adapter)
    with trainee(model, RunConfig(out_dir=Path())) as learner:
        optimizer = build_optimizer(model, rates, OptimizerConfig())
        for _ in range(3):
            backward(NextToken(), learner, [INPUTS])
            optimizer.step(1.0)
    return model


def test_layers_of_the_same_name_in_the_tower_get_none():
    model = small_videollama3()
    names = add_adapter(model, Adapter(parts=("language_model",), targets=("attention.qkv", "out")))
    assert names == tuple(
        f"language_model.layers.{i}.attention.{end}" for i in (0, 1) for end in ("qkv", "out")
    )
    assert not any("lora" in name for name, _ in model.vision_encoder.named_parameters())
    tower = small_videollama3()
    assert add_adapter(tower, Adapter(parts=("vision_encoder.layers.*.attention",), targets=("qkv",))) == (
        "vision_encoder.layers.0.attention.qkv",
    )


def test_all_linear_layers_of_a_part_are_those_of_its_layers_and_no_head():
    names = add_adapter(small_videollama3(), LANGUAGE)
    ends = ("attention.qkv", "attention.out", "mlp.gate_up", "mlp.down")
    assert names == tuple(f"language_model.layers.{i}.{end}" for i in (0, 1) for end in ends)


def test_updates_begin_at_zero_and_are_drawn_from_the_seed():
    plain, one, other = (small_videollama3() for _ in range(3))
    add_adapter(one, LANGUAGE, seed=1)
    add_adapter(other, LANGUAGE, seed=1)
    assert torch.equal(logits(one), logits(plain))
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_in_a_part_with_updates_these_alone_learn():
    before, model = small_videollama3().state_dict(), trained(rates={"language_model": 0.1, "connector": 0.1})
    after = {name.replace(".base_layer", ""): value for name, value in model.state_dict().items()}
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert {name.partition(".")[0] for name in changed} == {"connector"}
    assert not torch.equal(logits(model), logits(small_videollama3()))


def test_merging_changes_no_output_and_leaves_the_names_of_before():
    model = trained()
    expected = logits(model)
    assert merge_adapter(model) == 8
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=0)
    assert list(model.state_dict()) == list(small_videollama3().state_dict())
    assert merge_adapter(model) == 0
    add_adapter(model, LANGUAGE)


def test_frozen_weights_may_be_bfloat16_and_updates_are_float32():
    model = small_videollama3().bfloat16()
    add_adapter(model, LANGUAGE)
    kinds = {".lora_" in name: value.dtype for name, value in model.language_model.layers.named_parameters()}
    assert kinds == {False: torch.bfloat16, True: torch.float32}


def test_a_model_without_weights_can_have_updates():
    with torch.device("meta"):
        model = small_videollama3()
    add_adapter(model, LANGUAGE)
    assert all(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize("layout", [Layout.OFFICIAL, Layout.TRANSFORMERS])
def test_saved_updates_are_merged_by_our_reader_of_others(layout, tmp_path):
    model, plain = trained(), small_videollama3()
    plain.connector.load_state_dict(model.connector.state_dict())
    plain.vision_encoder.load_state_dict(model.vision_encoder.state_dict())
    keymap = model_keymap(model.config, layout)
    save_adapter(model, keymap, tmp_path / "adapter", base="nano")
    (tmp_path / "base").mkdir()
    write_tensors(tmp_path / "base", keymap.export(plain.state_dict()))
    content = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    files = LoraFiles(
        open_checkpoint(tmp_path / "base"),
        open_checkpoint(tmp_path / "adapter/adapter_model.safetensors"),
        config=parse_adapter_config(content),
    )
    read = small_videollama3()
    keymap.load_into(read, files)
    torch.testing.assert_close(logits(read), logits(model), atol=1e-5, rtol=0)
    assert content["base_model_name_or_path"] == "nano"


def test_query_key_and_value_share_the_first_factor_in_files(tmp_path):
    model = trained()
    save_adapter(model, model_keymap(model.config, Layout.TRANSFORMERS), tmp_path / "adapter")
    tensors = load_file(tmp_path / "adapter/adapter_model.safetensors")
    layer = "base_model.model.model.language_model.layers.1.self_attn."
    firsts = [tensors[f"{layer}{name}_proj.lora_A.weight"] for name in "qkv"]
    assert torch.equal(firsts[0], firsts[1])
    assert torch.equal(firsts[0], firsts[2])
    assert [len(tensors[f"{layer}{name}_proj.lora_B.weight"]) for name in "qkv"] == [16, 8, 8]


def test_what_is_no_matrix_in_files_cannot_be_saved_apart(tmp_path):
    model = small_videollama3()
    add_adapter(model, Adapter(parts=("vision_encoder",)))
    with pytest.raises(WeightsError, match=r"patch_embedding is .* of shape \(16, 3, 4, 4\)"):
        save_adapter(model, model_keymap(model.config, Layout.OFFICIAL), tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": ("tongue",)}, "no part named tongue; the model has vision_encoder, connector"),
        ({"parts": ("language_model",), "targets": ("q_proj",)}, "is called q_proj; there are down, gate_up"),
        ({"parts": ("language_model.norm",)}, "no linear layer"),
        ({"parts": ("connector",), "rank": 0}, "a rank of at least 1"),
    ],
)
def test_what_is_not_there_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        add_adapter(small_videollama3(), Adapter(**settings))


def test_updates_upon_updates_and_none_at_all_are_refused(tmp_path):
    model = trained()
    with pytest.raises(ConfigError, match="has updates already"):
        add_adapter(model, LANGUAGE)
    with pytest.raises(ConfigError, match="no updates to be saved"):
        save_adapter(small_videollama3(), KeyMap("none", ()), tmp_path / "adapter")


def test_four_bits_ask_for_their_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=r"pip install 'kinema\[qlora\]'"):
        add_adapter(small_videollama3(), Adapter(parts=("language_model",), base_bits=4))


def test_merged_tensors_are_those_of_a_merged_model_and_leave_the_updates():
    model = trained()
    tensors, before = merged_tensors(model), logits(model)
    assert torch.equal(logits(model), before)
    merge_adapter(model)
    merged = model.state_dict()
    assert tensors.keys() == merged.keys()
    assert all(torch.equal(tensors[name], merged[name]) for name in merged)
