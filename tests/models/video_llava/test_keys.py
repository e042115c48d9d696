from collections import Counter

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinema.errors import WeightsError
from kinema.models.registry import named_models
from kinema.models.video_llava.checkpoint import load_weights
from kinema.models.video_llava.config import VideoLLaVAConfig, video_llava_7b
from kinema.models.video_llava.keys import Layout, model_keymap
from kinema.models.video_llava.model import VideoLLaVA
from kinema.models.video_llava.port import for_transformers

TEMPORAL = 101_007_360


def on_meta(config: VideoLLaVAConfig) -> VideoLLaVA:
    with torch.device("meta"):
        return VideoLLaVA(config)


def num_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def inventory_of(config: VideoLLaVAConfig, layout: Layout):
    shapes = {name: tuple(tensor.shape) for name, tensor in on_meta(config).state_dict().items()}
    return model_keymap(config, layout).inventory(shapes)


def part_of(key: str) -> str:
    parts = ("image_tower", "video_tower", "mm_projector", "multi_modal_projector")
    return next((part for part in parts if part in key), "language_model")


def test_the_published_size_has_the_published_parameters():
    model = on_meta(video_llava_7b())
    assert num_parameters(model) == 7_466_762_240
    assert num_parameters(model.language_model) == 6_738_415_616
    assert num_parameters(model.vision_encoder["image"]) == 303_179_776
    assert num_parameters(model.vision_encoder["video"]) == 303_179_776 + TEMPORAL
    assert num_parameters(model.connector) == 20_979_712


def test_the_official_file_has_the_published_keys():
    inventory = inventory_of(video_llava_7b(), Layout.OFFICIAL)
    assert Counter(map(part_of, inventory)) == {
        "image_tower": 391,
        "video_tower": 655,
        "mm_projector": 4,
        "language_model": 291,
    }
    tower = "model.video_tower.video_tower."
    assert inventory[f"{tower}encoder.layers.23.temporal_embedding"].shape == (1, 8, 1024)
    assert inventory["model.mm_projector.0.weight"].shape == (4096, 1024)
    assert inventory["model.layers.31.mlp.down_proj.weight"].shape == (4096, 11008)


def test_transformers_file_has_its_keys_and_size():
    with torch.device("meta"):
        model = VideoLLaVA(video_llava_7b())
        placeholders = {"<image>": 32000, "<video>": 32001, "<pad>": 32002}
        with pytest.warns(UserWarning, match=f"{TEMPORAL:,} parameters of the video tower are left out"):
            config, state = for_transformers(model, placeholders)
    inventory = model_keymap(config, Layout.TRANSFORMERS).inventory(
        {name: tuple(tensor.shape) for name, tensor in state.items()}
    )
    assert len(inventory) == 1077
    assert inventory["language_model.lm_head.weight"].shape == (32064, 4096)
    assert sum(tensor.numel() for tensor in state.values()) == 7_366_279_168


def test_models_are_listed_with_the_size_they_have():
    listed = {model.name: model.num_parameters for model in named_models()}
    assert listed["LanguageBind/Video-LLaVA-7B"] == 7_466_762_240
    assert listed["LanguageBind/Video-LLaVA-7B-hf"] == 7_366_279_168


def with_tensors(folder, target, change):
    """A copy of a checkpoint whose tensors are changed in place."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, target / "model.safetensors")
    return target


@pytest.mark.parametrize(
    "key",
    [
        "model.video_tower.video_tower.encoder.layers.1.temporal_attn.q_proj.weight",
        "model.image_tower.image_tower.post_layernorm.bias",
        "model.mm_projector.2.bias",
        "lm_head.weight",
    ],
)
def test_a_missing_key_is_named(official_folder, tmp_path, key):
    folder = with_tensors(official_folder, tmp_path / "less", lambda tensors: tensors.pop(key))
    with pytest.raises(WeightsError, match=f"1 key missing: {key}"):
        load_weights(folder)


def test_a_key_too_many_is_named(official_folder, tmp_path):
    extra = {"model.audio_tower.weight": torch.zeros(1)}
    folder = with_tensors(official_folder, tmp_path / "more", lambda tensors: tensors.update(extra))
    with pytest.raises(WeightsError, match=r"1 key without a rule: model\.audio_tower\.weight"):
        load_weights(folder)


def test_what_follows_from_sizes_is_ignored_and_nothing_else(official_folder, tmp_path):
    rotary = [key for key in load_file(official_folder / "model.safetensors") if "inv_freq" in key]
    assert rotary
    tower = "model.image_tower.image_tower.embeddings."
    positions = {f"{tower}position_ids": torch.arange(5)[None]}
    load_weights(with_tensors(official_folder, tmp_path / "more", lambda t: t.update(positions)))


@pytest.mark.filterwarnings("ignore::kinema.errors.ModelWarning")
@pytest.mark.parametrize(
    ("tower", "decoder", "head"),
    [
        ("model.{}_tower.", "model.language_model.", "lm_head.weight"),
        ("{}_tower.", "language_model.model.", "language_model.lm_head.weight"),
        ("{}_tower.vision_model.", "language_model.model.", "language_model.lm_head.weight"),
        ("model.{}_tower.vision_model.", "model.language_model.model.", "lm_head.weight"),
    ],
)
def test_every_spelling_of_transformers_gives_the_same_weights(
    transformers_folder, tmp_path, tower, decoder, head
):
    lead = "model." if tower.startswith("model.") else ""

    def spell(tensors):
        for key in list(tensors):
            new = key.replace("language_model.model.", decoder).replace("language_model.lm_head.weight", head)
            new = new.replace("multi_modal_projector.", f"{lead}multi_modal_projector.")
            for modality in ("image", "video"):
                new = new.replace(f"{modality}_tower.vision_model.", tower.format(modality))
            tensors[new] = tensors.pop(key)

    expected = load_weights(transformers_folder).state_dict()
    spelled = load_weights(with_tensors(transformers_folder, tmp_path / "spelled", spell)).state_dict()
    assert spelled.keys() == expected.keys()
    assert all(torch.equal(spelled[name], expected[name]) for name in expected)
