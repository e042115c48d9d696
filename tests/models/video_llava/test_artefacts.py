"""What training saves that changed a part of a model, read through the front door."""

import json
import shutil

import pytest
import torch
from command_line import run
from safetensors.torch import load_file, save_file

import kinema
from kinema.errors import ConfigError, WeightsError
from kinema.models.registry import load_model
from kinema.models.video_llava.checkpoint import load_weights

TARGET = "model.layers.1.self_attn.v_proj"
CONNECTOR = {f"connector.{layer}.{kind}" for layer in ("fc1", "fc2") for kind in ("weight", "bias")}


@pytest.fixture(scope="module")
def base(official_folder):
    return load_weights(official_folder)


@pytest.fixture
def projector(official_folder):
    """Another connector, by its published names."""
    tensors = load_file(official_folder / "model.safetensors")
    return {key: tensor + 1 for key, tensor in tensors.items() if "mm_projector" in key}


@pytest.fixture
def adapter(official_folder, projector, tmp_path):
    """What the original's LoRA training saves: updates of one layer, and a connector of its own."""
    width = len(load_file(official_folder / "model.safetensors")[f"{TARGET}.weight"])
    generator = torch.Generator().manual_seed(0)
    down, up = (torch.randn(shape, generator=generator) for shape in ((2, width), (width, 2)))
    folder = tmp_path / "adapter"
    folder.mkdir()
    shutil.copy(official_folder / "config.json", folder)
    name = f"base_model.model.{TARGET}"
    save_file(
        {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, folder / "adapter_model.safetensors"
    )
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}))
    apart = {f"base_model.model.{key}": tensor for key, tensor in projector.items()}
    torch.save(apart, folder / "non_lora_trainables.bin")
    return folder, 2 * (up @ down)


def changed(base, model):
    state = model.state_dict()
    return {name for name, tensor in base.state_dict().items() if not torch.equal(tensor, state[name])}


def test_low_rank_updates_are_merged_and_bring_their_connector(base, official_folder, adapter):
    folder, update = adapter
    tuned = load_model(folder, parts={"base": official_folder}).model
    assert changed(base, tuned) == {"language_model.layers.1.attention.qkv.weight", *CONNECTOR}
    value = tuned.language_model.layers[1].attention.qkv.weight[-len(update) :]
    expected = base.language_model.layers[1].attention.qkv.weight[-len(update) :] + update
    torch.testing.assert_close(value, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("prefix", ["", "base_model.model."])
def test_a_projector_alone_takes_the_place_of_that_of_the_base(
    base, official_folder, projector, tmp_path, prefix
):
    file = tmp_path / "mm_projector.bin"
    torch.save({f"{prefix}{key}": tensor for key, tensor in projector.items()}, file)
    model = kinema.load(file, parts={"base": official_folder}, device="cpu")
    assert changed(base, model.network) == CONNECTOR
    assert torch.equal(model.network.connector.fc1.weight, projector["model.mm_projector.0.weight"])
    assert model.plan(None, "What?").prompt_tokens > 0
    shutil.copy(official_folder / "config.json", tmp_path)
    assert changed(base, load_model(tmp_path, parts={"base": official_folder}).model) == CONNECTOR


def test_the_command_line_makes_a_whole_model_of_a_part(base, official_folder, adapter, tmp_path):
    folder, _ = adapter
    arguments = ("--layout", "official", "--part", f"base={official_folder}")
    assert run("convert", folder, tmp_path / "whole", *arguments).exit_code == 0
    whole, merged = load_weights(tmp_path / "whole"), load_weights(folder, parts={"base": official_folder})
    assert changed(merged, whole) == set()
    assert len(changed(base, whole)) == 5


def test_a_part_without_its_base_names_it(adapter, official_folder):
    folder, _ = adapter
    with pytest.raises(
        WeightsError, match=r"only a part of a model and needs the model that was trained.*'base'"
    ):
        kinema.load(folder, device="cpu")
    with pytest.raises(ConfigError, match="takes no part base; it needs nothing beside its files"):
        kinema.load(official_folder, parts={"base": official_folder}, device="cpu")


def test_an_adapter_without_its_connector_is_refused(official_folder, adapter):
    folder, _ = adapter
    (folder / "non_lora_trainables.bin").unlink()
    with pytest.raises(WeightsError, match=r"expected non_lora_trainables\.bin and adapter_model"):
        load_model(folder, parts={"base": official_folder})


def test_a_base_that_cannot_be_one_is_refused(
    adapter, projector, transformers_folder, official_folder, tmp_path
):
    folder, _ = adapter
    with pytest.raises(WeightsError, match="named for the official layout; take that as base"):
        load_model(folder, parts={"base": transformers_folder})
    vicuna = tmp_path / "vicuna"
    vicuna.mkdir()
    (vicuna / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(WeightsError, match=r"vicuna is a language model alone.*start\.assemble"):
        load_model(folder, parts={"base": vicuna})
    larger = {key: torch.cat([tensor, tensor]) for key, tensor in projector.items()}
    torch.save(larger, tmp_path / "mm_projector.bin")
    with pytest.raises(WeightsError, match="they belong to models of different sizes"):
        load_model(tmp_path / "mm_projector.bin", parts={"base": official_folder})


def test_an_adapter_is_asked_from_the_command_line(official_folder, adapter):
    question = ("ask", __file__, "What?", "--model", adapter[0])
    assert "only a part of a model" in run(*question).stderr
    with_base = run(*question, "--part", f"base={official_folder}")
    assert "only a part" not in with_base.stderr
    assert "test_artefacts.py" in with_base.stderr  # it was loaded, and what is wrong now is the video
