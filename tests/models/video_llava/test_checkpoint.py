import copy
import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from kinema.errors import ModelWarning, WeightsError
from kinema.models.registry import load_model, load_outline
from kinema.models.video_llava.checkpoint import (
    convert,
    load,
    load_connector,
    load_weights,
    save,
)
from kinema.models.video_llava.keys import Layout
from kinema.models.video_llava.processor_json import load_processor

LOST = "transformers' class has no attention over time"
PORT = "this is a conversion for transformers"


def read(folder):
    index = folder / "model.safetensors.index.json"
    names = (
        set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else ["model.safetensors"]
    )
    return {key: tensor for name in names for key, tensor in load_file(folder / name).items()}


def published(folder):
    """What a file holds but what follows from the sizes."""
    return {key: tensor for key, tensor in read(folder).items() if "inv_freq" not in key}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def stored_bytes(model):
    """What the parameters take in memory, each storage counted once."""
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in model.parameters()
    }
    return sum(storage.nbytes() for storage in storages.values())


def test_the_official_layout_is_written_bit_for_bit(official_folder, tmp_path):
    convert(official_folder, tmp_path / "copy", layout=Layout.OFFICIAL)
    assert same(read(tmp_path / "copy"), published(official_folder))
    before = json.loads((official_folder / "config.json").read_text())
    after = json.loads((tmp_path / "copy" / "config.json").read_text())
    passing = ("initializer_range", "transformers_version", "mm_image_tower_config", "mm_video_tower_config")
    assert {key: after.get(key) for key in before if key not in passing} == {
        key: value for key, value in before.items() if key not in passing
    }


def test_shards_and_settings_are_read_again(official_folder, tmp_path):
    loaded = load(official_folder)
    processor = loaded.processor.with_settings(video_class_token=False, max_tokens=500)
    save(loaded.model, processor, tmp_path / "saved", max_shard_bytes=100_000)
    assert (tmp_path / "saved/model.safetensors.index.json").is_file()
    again = load(tmp_path / "saved")
    assert same(again.model.state_dict(), loaded.model.state_dict())
    assert again.processor.config == processor.config
    assert again.processor.tokenizer.encode("a man") == loaded.processor.tokenizer.encode("a man")
    assert again.generation.eos_token_ids == (2,)


def test_pickled_shards_are_read(official_folder, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(official_folder, folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    keys, weight_map = sorted(tensors), {}
    for number, part in enumerate((keys[:90], keys[90:]), start=1):
        name = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({key: tensors[key] for key in part}, folder / name)
        weight_map |= dict.fromkeys(part, name)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert same(load_weights(folder).state_dict(), load_weights(official_folder).state_dict())
    convert(folder, tmp_path / "copy", layout=Layout.OFFICIAL)
    assert same(read(tmp_path / "copy"), published(official_folder))


def test_what_the_towers_have_in_common_is_held_once(official_folder):
    model = load_weights(official_folder)
    image, video = model.vision_encoder["image"], model.vision_encoder["video"]
    spatial = "layers.0.spatial.attention.qkv.weight"
    assert image.get_parameter(spatial) is video.get_parameter(spatial)
    assert image.class_embedding is not video.class_embedding
    held = sum(parameter.nbytes for parameter in model.parameters())
    assert held < sum(tensor.nbytes for tensor in model.state_dict().values())


def test_conversion_to_transformers_loses_the_attention_over_time_and_says_so(official_folder, tmp_path):
    with pytest.warns(ModelWarning, match=LOST):
        convert(official_folder, tmp_path / "port", layout=Layout.TRANSFORMERS)
    tensors, original = read(tmp_path / "port"), published(official_folder)
    assert not [key for key in tensors if "temporal" in key]
    rows = len(original["lm_head.weight"])
    head = tensors["language_model.lm_head.weight"]
    assert torch.equal(head[:rows], original["lm_head.weight"])
    assert len(head) % 64 == 0
    torch.testing.assert_close(head[rows], original["lm_head.weight"].mean(0))
    config = json.loads((tmp_path / "port/config.json").read_text())
    assert config["image_token_index"] == rows
    assert config["vision_config"]["hidden_act"] == "gelu"
    with pytest.warns(ModelWarning, match=PORT):
        port = load(tmp_path / "port")
    assert port.processor.tokenizer.special_id("<video>") == rows + 1
    assert port.processor.config.window is None
    with pytest.raises(WeightsError, match="lost its attention over time"):
        save(port.model, port.processor, tmp_path / "back", layout=Layout.OFFICIAL)


@pytest.mark.filterwarnings("ignore::kinema.errors.ModelWarning")
def test_conversion_to_transformers_keeps_how_clips_and_pictures_are_read(loaded, tmp_path):
    settings = loaded.processor.config
    reading = replace(settings.reading, fps=2.0, max_frames=16, sampling="fps")
    pixels = replace(settings.pixels, image_fit="crop")
    processor = loaded.processor.with_settings(reading=reading, pixels=pixels, max_tokens=500)
    save(loaded.model, processor, tmp_path / "port", layout=Layout.TRANSFORMERS)
    again = load_processor(tmp_path / "port").config
    assert (again.reading, again.pixels, again.max_tokens) == (reading, pixels, 500)
    assert load_processor(tmp_path / "port", compat="transformers").config.reading.sampling != "fps"


def test_what_the_towers_share_stays_shared_when_they_are_cast_and_loaded_again(loaded, tmp_path):
    save(loaded.model, loaded.processor, tmp_path / "again")
    model = load_weights(tmp_path / "again")
    once = stored_bytes(model)
    twice = sum(tensor.nbytes for tensor in model.state_dict().values())
    assert once < twice
    assert stored_bytes(model.to(torch.bfloat16)) == once // 2
    assert stored_bytes(copy.deepcopy(model).to("cpu", torch.float32)) == once


def test_a_conversion_for_transformers_says_what_it_lacks(transformers_folder):
    with pytest.warns(
        ModelWarning, match=f"{PORT}.*sees each frame alone, and its towers compute quick_gelu"
    ):
        load_weights(transformers_folder)


def test_a_conversion_that_computes_gelu_lacks_the_attention_alone(loaded, tmp_path):
    with pytest.warns(ModelWarning, match=LOST):
        save(loaded.model, loaded.processor, tmp_path / "port", layout=Layout.TRANSFORMERS)
    with pytest.warns(ModelWarning, match=rf"{PORT}.*sees each frame alone\. Features"):
        load_weights(tmp_path / "port")


def test_weights_of_the_other_layout_are_refused(official_folder, transformers_folder, tmp_path):
    shutil.copytree(official_folder, tmp_path / "mixed")
    shutil.copy(transformers_folder / "model.safetensors", tmp_path / "mixed")
    with pytest.raises(WeightsError, match=r"config\.json is of the official layout"):
        load_weights(tmp_path / "mixed")


def test_a_projector_alone_takes_the_place_of_the_connector(official_folder, tmp_path):
    model = load_weights(official_folder)
    projector = {key: t + 1 for key, t in published(official_folder).items() if "mm_projector" in key}
    torch.save(projector, tmp_path / "mm_projector.bin")
    load_connector(model.connector, tmp_path / "mm_projector.bin")
    assert torch.equal(model.connector.fc1.weight, projector["model.mm_projector.0.weight"])
    assert torch.equal(model.connector.fc2.bias, projector["model.mm_projector.2.bias"])


def test_an_outline_has_shapes_and_no_values(official_folder):
    outline = load_outline(official_folder, dtype=torch.bfloat16)
    assert {parameter.device.type for parameter in outline.model.parameters()} == {"meta"}
    assert {parameter.dtype for parameter in outline.model.parameters()} == {torch.bfloat16}


def test_any_family_is_found_by_its_config(official_folder):
    assert type(load_model(official_folder).model).__name__ == "VideoLLaVA"


def test_a_folder_without_a_tokenizer_says_what_to_copy(official_folder, tmp_path):
    shutil.copytree(official_folder, tmp_path / "model")
    (tmp_path / "model/tokenizer.model").write_bytes(b"no model")
    with pytest.raises(WeightsError, match="not a SentencePiece model"):
        load(tmp_path / "model")
    (tmp_path / "model/tokenizer.model").unlink()
    with pytest.raises(WeightsError, match=r"no tokenizer\.model; copy that of the language model"):
        load(tmp_path / "model")


def test_a_layout_that_nobody_writes_is_refused(official_folder, tmp_path):
    with pytest.raises(WeightsError, match="no layout 'trainer'; there are: official, transformers"):
        convert(official_folder, tmp_path / "there", layout="trainer")
