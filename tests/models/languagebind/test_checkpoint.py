import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinema.errors import WeightsError
from kinema.models.languagebind.checkpoint import load_vision_encoder, load_weights, write_weights
from kinema.models.languagebind.config import Modality
from kinema.modules.sharing import share_equal_parameters


@pytest.fixture
def changed(checkpoint_of, tmp_path):
    """A function that copies a golden checkpoint, with other tensors or fields of its vision_config."""

    def change(name, tensors=None, fields=None):
        folder = tmp_path / "changed"
        shutil.copytree(checkpoint_of(name), folder)
        old = load_file(folder / "model.safetensors")
        new = {key: tensor for key, tensor in (old | (tensors or {})).items() if tensor is not None}
        save_file(new, folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text())
        config["vision_config"] |= fields or {}
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return change


@pytest.mark.parametrize("name", ["image", "video", "audio"])
def test_what_is_loaded_is_written_back_bit_for_bit_and_loads_again(checkpoint_of, tmp_path, name):
    model = load_weights(checkpoint_of(name))
    write_weights(model, tmp_path)
    original, written = (load_file(path / "model.safetensors") for path in (checkpoint_of(name), tmp_path))
    assert written.keys() == original.keys()
    assert all(torch.equal(written[key], original[key]) for key in original)
    again = load_weights(tmp_path)
    assert again.config == model.config
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in again.state_dict().items())


def test_a_model_with_updates_is_written_merged(checkpoint_of, tmp_path):
    model = load_weights(checkpoint_of("video_lora"))
    write_weights(model, tmp_path)
    written = load_file(tmp_path / "model.safetensors")
    assert written.keys() == load_file(checkpoint_of("video") / "model.safetensors").keys()
    assert json.loads((tmp_path / "config.json").read_text())["vision_config"]["lora_r"] == 0


def test_weights_are_cast_as_they_are_read(checkpoint_of):
    model = load_weights(checkpoint_of("video_lora"), dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.bfloat16}


def test_a_loaded_model_is_in_evaluation_mode(checkpoint_of):
    assert not load_weights(checkpoint_of("image")).training
    assert not load_vision_encoder(checkpoint_of("image")).training


def test_a_tower_is_loaded_without_what_leads_to_text(checkpoint_of):
    tower, model = load_vision_encoder(checkpoint_of("video")), load_weights(checkpoint_of("video"))
    ours = model.vision_encoder.state_dict()
    assert tower.state_dict().keys() == ours.keys()
    assert all(torch.equal(tensor, ours[key]) for key, tensor in tower.state_dict().items())


def test_pickled_weights_are_read(checkpoint_of, changed):
    folder = changed("image")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    expected = load_weights(checkpoint_of("image")).state_dict()
    assert all(torch.equal(t, expected[key]) for key, t in load_weights(folder).state_dict().items())


@torch.no_grad()
def test_a_tower_with_frame_class_embeddings_is_known_by_its_weights(checkpoint_of, changed):
    before = load_vision_encoder(checkpoint_of("video"))
    frames, side = before.config.num_frames, before.config.patch_size
    patch = before.patch_embedding.weight.view(-1, 3, 1, side, side).clone()  # of a Conv3d
    classes = before.class_embedding.repeat(frames, 1)
    prefix = "vision_model.embeddings."
    folder = changed("video", {f"{prefix}patch_embedding.weight": patch, f"{prefix}class_embedding": classes})
    tower = load_vision_encoder(folder)
    assert tower.config.has_frame_class_embeddings
    pixels = torch.randn(1, frames, 3, *before.config.image_size)
    assert torch.equal(tower.encode(pixels), before.encode(pixels))  # the classes are equal here
    tower.class_embedding[3] += 1.0
    difference = (tower.embed(pixels) - before.embed(pixels)).abs().amax(-1)[0] > 0
    assert difference.nonzero().tolist() == [[3, 0]]


def test_frame_class_embeddings_are_written_as_they_were(checkpoint_of, changed, tmp_path):
    frames = load_vision_encoder(checkpoint_of("video")).config.num_frames
    prefix = "vision_model.embeddings."
    old = load_file(checkpoint_of("video") / "model.safetensors")
    tensors = {
        f"{prefix}patch_embedding.weight": old[f"{prefix}patch_embedding.weight"][:, :, None].clone(),
        f"{prefix}class_embedding": torch.randn(frames, old[f"{prefix}class_embedding"].shape[0]),
    }
    target = tmp_path / "target"
    target.mkdir()
    write_weights(load_weights(changed("video", tensors)), target)
    written = load_file(target / "model.safetensors")
    assert all(torch.equal(written[key], tensor) for key, tensor in tensors.items())
    assert json.loads((target / "config.json").read_text())["vision_config"]["clip_type"] == "vl_new"


def test_image_and_video_tower_share_what_training_left_alone(checkpoint_of):
    image, video = load_vision_encoder(checkpoint_of("image")), load_vision_encoder(checkpoint_of("video"))
    freed = share_equal_parameters(image, video)
    held = {tensor.data_ptr() for tensor in image.parameters()}
    own = {name for name, tensor in video.named_parameters() if tensor.data_ptr() not in held}
    assert {name for name in own if ".temporal." not in name} == {
        "class_embedding",
        "final_norm.weight",
        "final_norm.bias",
    }
    assert freed == sum(tensor.nbytes for tensor in image.parameters()) - 3 * image.class_embedding.nbytes


def test_a_tensor_that_is_missing_or_left_over_is_named(changed):
    folder = changed("video", {"text_model.final_layer_norm.bias": None, "vision_model.extra": torch.ones(1)})
    with pytest.raises(WeightsError, match=r"1 key missing: text_model\.final.*rule: vision_model\.extra"):
        load_weights(folder)


def test_updates_without_rank_and_alpha_are_refused(changed):
    with pytest.raises(WeightsError, match=r"lora_r in config\.json's vision_config is 0"):
        load_weights(changed("video_lora", fields={"lora_r": 0}))


def test_updates_of_another_rank_than_the_config_says_are_refused(changed):
    with pytest.raises(WeightsError, match="they do not belong together"):
        load_weights(changed("video_lora", fields={"lora_r": 5}))


def test_an_update_without_its_partner_is_named(changed, checkpoint_of):
    keys = load_file(checkpoint_of("video_lora") / "model.safetensors")
    factor = next(key for key in keys if ".lora_B." in key)
    with pytest.raises(WeightsError, match="has no lora_B beside its lora_A"):
        load_weights(changed("video_lora", {factor: None}))


def test_a_merged_checkpoint_whose_config_still_states_a_rank_loads(changed):
    assert load_weights(changed("video", fields={"lora_r": 64})).config.modality is Modality.VIDEO


def test_a_model_of_two_dtypes_is_not_written(checkpoint_of, tmp_path):
    model = load_weights(checkpoint_of("image"))
    model.text_encoder.to(torch.bfloat16)
    with pytest.raises(WeightsError, match="2 dtypes"):
        write_weights(model, tmp_path)
