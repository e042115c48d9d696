import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinema.errors import WeightsError
from kinema.hub.card import ModelCard
from kinema.hub.generation import GenerationDefaults
from kinema.models.registry import load_model
from kinema.models.videollama3.checkpoint import (
    convert,
    load,
    load_connector,
    load_vision_encoder,
    load_weights,
    save,
)
from kinema.models.videollama3.keys import Layout


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_both_published_layouts_load_as_one_model(official_folder, transformers_folder):
    official, converted = load_model(official_folder), load_model(transformers_folder)
    assert official.model.config == converted.model.config
    assert same_weights(official.model, converted.model)
    assert official.generation.repetition_penalty == 1.1
    assert official.folder == official_folder


def test_a_loaded_model_is_real_and_ready_to_answer(official_folder):
    model = load_weights(official_folder, dtype=torch.bfloat16)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("layout", Layout)
def test_a_model_is_read_back_from_each_layout_it_is_written_in(official_folder, tmp_path, layout):
    loaded = load(official_folder)
    card = ModelCard(title="toy", metadata={"kinema": {"domain": "toybox"}})
    save(
        loaded.model,
        loaded.processor,
        tmp_path / "saved",
        layout=layout,
        generation=loaded.generation,
        card=card,
        max_shard_bytes=100_000,
    )
    again = load(tmp_path / "saved")
    assert again.model.config == loaded.model.config
    assert same_weights(again.model, loaded.model)
    assert again.generation == loaded.generation
    assert again.processor.config.pruning == loaded.processor.config.pruning
    assert ModelCard.load(tmp_path / "saved") == card
    assert (tmp_path / "saved" / "model.safetensors.index.json").is_file()


def test_conversion_to_transformers_and_back_gives_the_published_file(official_folder, tmp_path):
    convert(official_folder, tmp_path / "there", layout=Layout.TRANSFORMERS)
    convert(tmp_path / "there", tmp_path / "back", layout=Layout.OFFICIAL)
    published = load_file(official_folder / "model.safetensors")
    converted = load_file(tmp_path / "back" / "model.safetensors")
    assert converted.keys() == published.keys()
    assert all(torch.equal(converted[key], published[key]) for key in published)
    before = json.loads((official_folder / "config.json").read_text())
    after = json.loads((tmp_path / "back" / "config.json").read_text())
    before.pop("max_window_layers", None)  # has no effect while use_sliding_window is false
    assert {key: after.get(key) for key in before} == before


def test_conversion_may_change_the_dtype(official_folder, tmp_path):
    convert(official_folder, tmp_path / "half", layout=Layout.OFFICIAL, dtype=torch.bfloat16)
    assert {t.dtype for t in load_file(tmp_path / "half" / "model.safetensors").values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "half" / "config.json").read_text())["torch_dtype"] == "bfloat16"


def test_a_layout_that_nobody_writes_is_refused(official_folder, tmp_path):
    with pytest.raises(WeightsError, match="no layout 'other'; there are: official, trainer, transformers"):
        convert(official_folder, tmp_path / "there", layout="other")


def test_the_default_answer_is_greedy_and_ends_with_the_turn(official_folder, tmp_path):
    loaded = load(official_folder)
    save(loaded.model, loaded.processor, tmp_path / "saved")
    expected = GenerationDefaults(eos_token_ids=loaded.processor.stop_token_ids)
    assert load(tmp_path / "saved").generation == expected


def test_an_untied_head_is_read_and_written(official_folder, tmp_path):
    folder = shutil.copytree(official_folder, tmp_path / "untied")
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("lm_head.weight", None)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"1 key missing: lm_head\.weight\."):
        load(folder)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1
    save_file(tensors, folder / "model.safetensors")
    convert(folder, tmp_path / "written", layout=Layout.TRANSFORMERS)
    written = load_file(tmp_path / "written" / "model.safetensors")
    assert torch.equal(written["lm_head.weight"], tensors["lm_head.weight"])


def test_weights_of_two_dtypes_are_not_written(official_folder, tmp_path):
    loaded = load(official_folder)
    loaded.model.connector.half()
    with pytest.raises(WeightsError, match="2 dtypes"):
        save(loaded.model, loaded.processor, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def encoder_folder(official_folder, target):
    """The encoder cut from the model, as VL3-SigLIP-NaViT is published."""
    prefix = "model.vision_encoder."
    tensors = load_file(official_folder / "model.safetensors")
    target.mkdir()
    alone = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
    save_file(alone, target / "model.safetensors")
    config = json.loads((official_folder / "config.json").read_text())["vision_encoder_config"]
    (target / "config.json").write_text(json.dumps(config))
    return target


def test_an_encoder_alone_is_that_of_the_model_it_was_cut_from(official_folder, tmp_path):
    folder = encoder_folder(official_folder, tmp_path / "encoder")
    assert same_weights(load_vision_encoder(folder), load_weights(official_folder).vision_encoder)
    with pytest.raises(WeightsError, match="part of VideoLLaMA3"):
        load_model(folder)


def test_a_projector_alone_takes_the_place_of_the_connector(official_folder, tmp_path):
    model = load_weights(official_folder, dtype=torch.bfloat16)
    tensors = load_file(official_folder / "model.safetensors")
    projector = {key: t + 1 for key, t in tensors.items() if "mm_projector" in key}
    torch.save(projector, tmp_path / "mm_projector.bin")
    load_connector(model.connector, tmp_path / "mm_projector.bin")
    expected = projector["model.mm_projector.readout.2.bias"].bfloat16()
    assert torch.equal(model.connector.fc2.bias, expected)
    del projector["model.mm_projector.readout.2.bias"]
    torch.save(projector, tmp_path / "mm_projector.bin")
    with pytest.raises(WeightsError, match=r"1 key missing: model\.mm_projector\.readout\.2\.bias"):
        load_connector(model.connector, tmp_path / "mm_projector.bin")
