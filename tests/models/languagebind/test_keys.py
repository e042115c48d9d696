from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinema.errors import WeightsError
from kinema.hub.files import open_checkpoint
from kinema.models.languagebind.config import (
    LanguageBindConfig,
    Modality,
    languagebind_huge,
    languagebind_large,
)
from kinema.models.languagebind.keys import model_keymap, vision_keymap
from kinema.models.languagebind.model import LanguageBind
from kinema.models.registry import named_models

LAYER = "vision_model.encoder.layers.3."


def shapes_of(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def on_meta(config: LanguageBindConfig) -> LanguageBind:
    with torch.device("meta"):
        return LanguageBind(config)


def inventory_of(config: LanguageBindConfig):
    return model_keymap(config).inventory(shapes_of(on_meta(config)))


def num_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("modality", "num_tensors", "size"),
    [
        (Modality.IMAGE, 391, 303_179_776),
        (Modality.VIDEO, 655, 404_187_136),
        (Modality.AUDIO, 391, 303_599_616),
        (Modality.DEPTH, 391, 303_179_776),
        (Modality.THERMAL, 391, 303_179_776),
    ],
)
def test_a_tower_has_the_tensors_and_the_size_of_the_published_one(modality, num_tensors, size):
    config = languagebind_large(modality)
    tower = on_meta(config).vision_encoder
    assert len(vision_keymap(config.vision).inventory(shapes_of(tower))) == num_tensors
    assert num_parameters(tower) == size


def test_temporal_blocks_have_the_size_of_the_published_ones():
    video, image = (on_meta(languagebind_large(m)) for m in (Modality.VIDEO, Modality.IMAGE))
    assert num_parameters(video) - num_parameters(image) == 101_007_360


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("LanguageBind_Image", languagebind_large(Modality.IMAGE)),
        ("LanguageBind_Video_merge", languagebind_large(Modality.VIDEO)),
        ("LanguageBind_Audio", languagebind_large(Modality.AUDIO)),
        ("LanguageBind_Depth", languagebind_large(Modality.DEPTH)),
        ("LanguageBind_Thermal", languagebind_large(Modality.THERMAL)),
        ("LanguageBind_Video_V1.5_FT", languagebind_large(Modality.VIDEO)),
        ("LanguageBind_Video_Huge_V1.5_FT", languagebind_huge(Modality.VIDEO)),
    ],
)
def test_models_are_listed_with_the_size_they_have(name, config):
    if "V1.5" in name:
        config = replace(config, vision=replace(config.vision, has_frame_class_embeddings=True))
    listed = {model.name: model.num_parameters for model in named_models()}
    assert num_parameters(on_meta(config)) == listed[f"LanguageBind/{name}"]


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("vision_model.embeddings.class_embedding", (1024,)),
        ("vision_model.embeddings.patch_embedding.weight", (1024, 3, 14, 14)),
        ("vision_model.embeddings.position_embedding.weight", (257, 1024)),
        ("vision_model.pre_layrnorm.bias", (1024,)),
        (f"{LAYER}temporal_embedding", (1, 8, 1024)),
        (f"{LAYER}temporal_attn.k_proj.weight", (1024, 1024)),
        (f"{LAYER}temporal_layer_norm1.weight", (1024,)),
        (f"{LAYER}self_attn.out_proj.bias", (1024,)),
        (f"{LAYER}mlp.fc1.weight", (4096, 1024)),
        ("text_model.embeddings.token_embedding.weight", (49408, 768)),
        ("text_model.embeddings.position_embedding.weight", (77, 768)),
        ("visual_projection.weight", (768, 1024)),
        ("text_projection.weight", (768, 768)),
        ("logit_scale", ()),
    ],
)
def test_a_published_video_file_holds_this_tensor(key, shape):
    assert inventory_of(languagebind_large(Modality.VIDEO))[key].shape == shape


def test_the_positions_of_sound_are_those_of_its_own_grid():
    audio = inventory_of(languagebind_large(Modality.AUDIO))
    assert audio["vision_model.embeddings.position_embedding.weight"].shape == (667, 1024)


def test_frame_class_embeddings_come_with_a_three_dimensional_kernel():
    config = languagebind_large(Modality.VIDEO)
    newer = inventory_of(replace(config, vision=replace(config.vision, has_frame_class_embeddings=True)))
    assert newer["vision_model.embeddings.class_embedding"].shape == (8, 1024)
    assert newer["vision_model.embeddings.patch_embedding.weight"].shape == (1024, 3, 1, 14, 14)


@pytest.mark.parametrize("name", ["video", "image"])
def test_a_published_file_is_written_back_bit_for_bit(checkpoint_of, golden_config_of, name):
    config = golden_config_of(name)
    path = checkpoint_of(name) / "model.safetensors"
    keymap, shapes = model_keymap(config), shapes_of(on_meta(config))
    written = dict(keymap.export(keymap.load(open_checkpoint(path), shapes)))
    original = load_file(path)
    assert written.keys() == original.keys()
    assert all(torch.equal(written[key], original[key]) for key in original)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({f"{LAYER.replace('3', '0')}temporal_embedding": None}, "1 key missing: .*0.temporal_embedding"),
        ({"visual_projection.weight": None}, "missing: visual_projection.weight"),
        ({"vision_model.head.weight": torch.zeros(2)}, "without a rule: vision_model.head.weight"),
        ({"text_projection.weight": torch.zeros(2, 2)}, "another shape: text_projection.weight is"),
    ],
)
def test_a_key_too_few_or_too_many_fails_by_its_name(checkpoint_of, golden_config_of, tmp_path, change, said):
    tensors = load_file(checkpoint_of("video") / "model.safetensors") | change
    path = tmp_path / "model.safetensors"
    save_file({key: tensor for key, tensor in tensors.items() if tensor is not None}, path)
    config = golden_config_of("video")
    with pytest.raises(WeightsError, match=said):
        model_keymap(config).load(open_checkpoint(path), shapes_of(on_meta(config)))


def test_a_video_file_is_not_loaded_as_an_image_model(checkpoint_of, golden_config_of):
    config = golden_config_of("image")
    files = open_checkpoint(checkpoint_of("video"))
    with pytest.raises(WeightsError, match=r"without a rule: .*temporal_attn"):
        model_keymap(config).load(files, shapes_of(on_meta(config)))


def test_positions_counted_from_zero_are_ignored(checkpoint_of, golden_config_of, tmp_path):
    config = golden_config_of("image")
    tensors = load_file(checkpoint_of("image") / "model.safetensors")
    for tower in ("vision", "text"):
        tensors[f"{tower}_model.embeddings.position_ids"] = torch.arange(10)[None]  # of any length
    save_file(tensors, tmp_path / "model.safetensors")
    loaded = model_keymap(config).load(open_checkpoint(tmp_path), shapes_of(on_meta(config)))
    assert loaded.keys() == shapes_of(on_meta(config)).keys()
