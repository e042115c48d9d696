import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinema.errors import WeightsError
from kinema.models.registry import (
    FAMILIES,
    convert_model,
    find_checkpoint,
    find_family,
    load_model,
    named_models,
    stored_dtype,
)


@pytest.mark.parametrize("model_type", ["videollama3_qwen2", "video_llama_3"])
def test_a_family_is_found_by_the_config_alone(model_type):
    assert find_family({"model_type": model_type, "_name_or_path": "whatever"}).name == "videollama3"


@pytest.mark.parametrize("modality", ["Image", "Video", "Audio", "Depth", "Thermal"])
def test_every_modality_of_languagebind_is_one_family(modality):
    assert find_family({"model_type": f"LanguageBind{modality}"}).name == "languagebind"


def test_a_config_of_no_family_names_what_is_known():
    with pytest.raises(WeightsError, match=r"'bert' .* known are 'videollama3_qwen2', 'video_llama_3'"):
        find_family({"model_type": "bert"})


@pytest.mark.parametrize("model_type", ["videollama3_vision_encoder", "siglip"])
def test_a_part_of_a_model_says_what_loads_it(model_type):
    with pytest.raises(WeightsError, match=r"part of VideoLLaMA3.*checkpoint\.load_vision_encoder"):
        find_family({"model_type": model_type})


def test_the_published_checkpoints_are_listed_with_the_size_of_their_files():
    sizes = {model.name: model.bf16_bytes for model in named_models()}
    assert sizes["DAMO-NLP-SG/VideoLLaMA3-2B"] == 3_919_987_168
    assert sizes["DAMO-NLP-SG/VideoLLaMA3-7B"] == 16_089_489_888
    assert sizes["DAMO-NLP-SG/VL3-SigLIP-NaViT"] == 824_294_880
    parts = {model.name for model in named_models() if model.is_part and model.family == "videollama3"}
    assert parts == {
        "DAMO-NLP-SG/VL3-SigLIP-NaViT",
        "DAMO-NLP-SG/SigLIP-NaViT",
    }


def test_a_file_of_a_repository_is_listed_with_its_repository():
    listed = [model for model in named_models() if model.name.endswith("clip/S14/pytorch_model.bin")]
    assert [model.hub_id for model in listed] == ["OpenGVLab/InternVideo2_distillation_models"]


def test_every_listed_model_is_of_a_family_and_has_a_licence():
    for model in named_models():
        assert model.family in {family.name for family in FAMILIES}
        assert model.licence


def test_a_folder_of_another_family_is_refused_before_its_weights_are_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(WeightsError, match="no family knows"):
        load_model(tmp_path)


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"no model\.safetensors .* it holds nothing"):
        load_model(tmp_path)


def test_weights_that_no_family_knows_are_refused_by_their_keys(tmp_path):
    save_file({"encoder.weight": torch.ones(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match=r"no family knows its weights \(encoder\.weight, \.\.\.\)"):
        load_model(tmp_path / "weights.safetensors")


def test_a_hub_id_that_is_not_cached_says_so_offline(tmp_path):
    with pytest.raises(WeightsError, match="offline is set"):
        load_model("lab/model", offline=True, cache_dir=tmp_path)


def test_a_checkpoint_is_found_by_its_folder(tmp_path):
    assert find_checkpoint(tmp_path) == tmp_path


def test_the_dtype_of_a_checkpoint_is_known_where_it_has_one(tmp_path):
    folder = find_checkpoint("nano")
    assert stored_dtype(folder) == "float16"
    shutil.copytree(folder, tmp_path / "mixed")
    tensors = load_file(folder / "model.safetensors")
    first = next(iter(tensors))
    save_file(tensors | {first: tensors[first].float()}, tmp_path / "mixed/model.safetensors")
    assert stored_dtype(tmp_path / "mixed") is None


def test_a_checkpoint_of_no_family_is_not_converted(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(WeightsError, match="no family knows"):
        convert_model(tmp_path, tmp_path / "converted", layout="official")
