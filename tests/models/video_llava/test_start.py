import json

import pytest
import torch
from golden_video_llava import official_config
from safetensors.torch import load_file, save_file

from kinema.errors import WeightsError
from kinema.models.languagebind.config import Modality
from kinema.models.video_llava.checkpoint import load_connector, load_weights, save
from kinema.models.video_llava.start import assemble

TEXT = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}


@pytest.fixture
def parts(golden, official_folder, tmp_path):
    """The golden model taken apart: a language model and two LanguageBind checkpoints."""
    tensors, config = load_file(official_folder / "model.safetensors"), official_config(golden)
    rest = {key: tensor for key, tensor in tensors.items() if "_tower." not in key and "mm_proj" not in key}
    write(tmp_path / "vicuna", {**config, "model_type": "llama"}, rest)
    towers = {}
    for modality in (Modality.IMAGE, Modality.VIDEO):
        prefix = f"model.{modality}_tower.{modality}_tower."
        own = {
            f"vision_model.{k.removeprefix(prefix)}": t for k, t in tensors.items() if k.startswith(prefix)
        }
        content = {
            "model_type": f"LanguageBind{modality.capitalize()}",
            "vision_config": {**config[f"mm_{modality}_tower_config"], "force_patch_dropout": 0.5},
            "text_config": {**TEXT, "vocab_size": 9, "max_position_embeddings": 8},
            "projection_dim": 8,
        }
        towers[modality] = write(tmp_path / modality, content, own)
    return tmp_path / "vicuna", towers


def write(folder, config, tensors):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder


def generator():
    return torch.Generator().manual_seed(0)


def test_the_parts_of_a_model_and_its_connector_are_the_model(parts, official_folder, tmp_path):
    model, whole = assemble(*parts, generator()), load_weights(official_folder)
    tensors = load_file(official_folder / "model.safetensors")
    torch.save({k: t for k, t in tensors.items() if "mm_proj" in k}, tmp_path / "mm_projector.bin")
    load_connector(model.connector, tmp_path / "mm_projector.bin")
    assert model.config == whole.config
    ours, theirs = model.state_dict(), whole.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_towers_share_what_they_have_in_common_and_the_connector_is_drawn(parts):
    model = assemble(*parts, generator(), dtype=torch.bfloat16)
    image, video = model.vision_encoder["image"], model.vision_encoder["video"]
    assert image.patch_embedding.weight is video.patch_embedding.weight
    weight = model.connector.fc1.weight.detach()
    assert weight.dtype == torch.bfloat16
    assert 0 < float(weight.abs().max()) <= weight.shape[1] ** -0.5
    again = assemble(*parts, generator(), dtype=torch.bfloat16)
    assert torch.equal(again.connector.fc2.bias, model.connector.fc2.bias)


def test_what_was_put_together_can_be_saved(parts, loaded, tmp_path):
    model = assemble(*parts, generator())
    save(model, loaded.processor, tmp_path / "started")
    assert torch.equal(load_weights(tmp_path / "started").connector.fc1.weight, model.connector.fc1.weight)


def test_a_language_model_of_another_kind_is_refused(parts):
    folder, towers = parts
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "model_type": "mistral"}))
    with pytest.raises(WeightsError, match="model_type 'mistral'; this architecture has 'llama' only"):
        assemble(folder, towers, generator())
