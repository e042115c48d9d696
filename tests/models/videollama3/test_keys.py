import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinema.errors import WeightsError
from kinema.hub.files import open_checkpoint
from kinema.models.videollama3.config import VideoLLaMA3Config, siglip_navit, videollama3_2b, videollama3_7b
from kinema.models.videollama3.config_json import parse_config
from kinema.models.videollama3.keys import (
    Layout,
    connector_keymap,
    detect_layout,
    encoder_keymap,
    model_keymap,
)
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.modules.vision.navit import NaViT, NaViTConfig

GOLDEN_FILES = {Layout.OFFICIAL: "official", Layout.TRANSFORMERS: "transformers"}


def shapes_of(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def on_meta(config: VideoLLaMA3Config) -> VideoLLaMA3:
    with torch.device("meta"):
        return VideoLLaMA3(config)


@pytest.fixture(scope="module")
def config(full_model):
    return parse_config(json.loads((full_model / "config_official.json").read_text()))


@pytest.fixture(scope="module")
def shapes(config):
    return shapes_of(on_meta(config))


@pytest.fixture(scope="module")
def state(full_model, config, shapes):
    files = open_checkpoint(full_model / "weights_official.safetensors")
    return model_keymap(config, Layout.OFFICIAL).load(files, shapes)


def test_both_published_layouts_hold_the_same_tensors(full_model, config, shapes, state):
    files = open_checkpoint(full_model / "weights_transformers.safetensors")
    same = model_keymap(config, Layout.TRANSFORMERS).load(files, shapes)
    assert same.keys() == state.keys() == shapes.keys()
    for name in shapes:
        assert torch.equal(same[name], state[name]), name


@pytest.mark.parametrize("layout", GOLDEN_FILES)
def test_a_published_file_is_written_back_bit_for_bit(full_model, config, shapes, layout):
    path = full_model / f"weights_{GOLDEN_FILES[layout]}.safetensors"
    keymap = model_keymap(config, layout)
    written = dict(keymap.export(keymap.load(open_checkpoint(path), shapes)))
    published = load_file(path)
    assert written.keys() == published.keys()
    for key, tensor in published.items():
        assert written[key].shape == tensor.shape, key
        assert torch.equal(written[key], tensor), key


def test_the_trainer_nests_the_encoder_once_more(config, state):
    official = dict(model_keymap(config, Layout.OFFICIAL).export(state))
    trainer = dict(model_keymap(config, Layout.TRAINER).export(state))
    nested = {key.replace("vision_encoder.", "vision_encoder.vision_encoder."): key for key in official}
    assert trainer.keys() == nested.keys()
    assert all(torch.equal(trainer[key], official[nested[key]]) for key in trainer)


@pytest.mark.parametrize("layout", Layout)
def test_the_layout_is_told_by_the_keys(config, shapes, layout):
    assert detect_layout(model_keymap(config, layout).inventory(shapes)) is layout


def test_keys_of_no_layout_are_shown():
    with pytest.raises(WeightsError, match=r"names its keys like transformer\.wte"):
        detect_layout(["transformer.wte"])


def test_a_key_that_is_missing_left_over_or_misshapen_is_named(tmp_path, full_model, config, shapes):
    tensors = load_file(full_model / "weights_official.safetensors")
    tensors["model.vision_encoder.head.probe"] = torch.zeros(1)
    tensors["model.mm_projector.readout.0.bias"] = torch.zeros(7)
    del tensors["model.layers.0.self_attn.k_proj.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        model_keymap(config, Layout.OFFICIAL).load(open_checkpoint(tmp_path), shapes)
    message = str(caught.value)
    assert "1 key missing: model.layers.0.self_attn.k_proj.bias." in message
    assert "1 key without a rule: model.vision_encoder.head.probe." in message
    width = config.language.hidden_size
    assert f"model.mm_projector.readout.0.bias is (7,), expected ({width},)" in message


def test_a_tied_head_may_be_stored_when_it_equals_the_embedding(tmp_path, full_model, config):
    config = replace(config, language=replace(config.language, tie_word_embeddings=True))
    shapes = shapes_of(on_meta(config))
    tensors = load_file(full_model / "weights_official.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, tmp_path / "model.safetensors")
    keymap = model_keymap(config, Layout.OFFICIAL)
    assert keymap.load(open_checkpoint(tmp_path), shapes).keys() == shapes.keys()
    tensors["lm_head.weight"][0, 0] += 1
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"lm_head\.weight differs from model\.embed_tokens\.weight"):
        keymap.load(open_checkpoint(tmp_path), shapes)


# Numbers of reference sheet sections 0 and 8.1, counted on the published files.
@pytest.mark.parametrize(
    ("config", "vision", "connector", "language"),
    [
        (videollama3_2b(), 412_147_440, 4_131_840, 1_543_714_304),
        (videollama3_7b(), 412_147_440, 16_980_992, 7_615_616_512),
    ],
    ids=["2b", "7b"],
)
def test_the_real_models_have_the_published_numbers_of_parameters(config, vision, connector, language):
    model = on_meta(config)
    counts = [
        sum(parameter.numel() for parameter in part.parameters())
        for part in (model.vision_encoder, model.connector, model.language_model)
    ]
    assert counts == [vision, connector, language]


@pytest.mark.parametrize(
    ("config", "num_keys", "num_bytes", "width", "ffn", "kv", "vocab"),
    [
        (videollama3_2b(), 778, 3_919_987_168, 1536, 8960, 256, 151_936),
        (videollama3_7b(), 779, 16_089_489_888, 3584, 18_944, 512, 152_064),
    ],
    ids=["2b", "7b"],
)
def test_the_real_files_have_the_published_keys_and_shapes(
    config, num_keys, num_bytes, width, ffn, kv, vocab
):
    inventory = model_keymap(config, Layout.OFFICIAL).inventory(shapes_of(on_meta(config)))
    shapes = {key: entry.shape for key, entry in inventory.items()}
    assert len(shapes) == num_keys
    assert 2 * sum(torch.Size(shape).numel() for shape in shapes.values()) == num_bytes
    vision, decoder = "model.vision_encoder.encoder.layers.26.", "model.layers.27."
    expected = {
        "model.vision_encoder.embeddings.patch_embedding.weight": (1152, 3, 14, 14),
        "model.vision_encoder.embeddings.patch_embedding.bias": (1152,),
        f"{vision}self_attn.k_proj.weight": (1152, 1152),
        f"{vision}self_attn.out_proj.bias": (1152,),
        f"{vision}layer_norm2.bias": (1152,),
        f"{vision}mlp.fc1.weight": (4304, 1152),
        f"{vision}mlp.fc2.weight": (1152, 4304),
        "model.vision_encoder.post_layernorm.weight": (1152,),
        "model.mm_projector.readout.0.weight": (width, 1152),
        "model.mm_projector.readout.2.weight": (width, width),
        "model.embed_tokens.weight": (vocab, width),
        f"{decoder}self_attn.q_proj.weight": (width, width),
        f"{decoder}self_attn.k_proj.weight": (kv, width),
        f"{decoder}self_attn.v_proj.bias": (kv,),
        f"{decoder}self_attn.o_proj.weight": (width, width),
        f"{decoder}mlp.gate_proj.weight": (ffn, width),
        f"{decoder}mlp.up_proj.weight": (ffn, width),
        f"{decoder}mlp.down_proj.weight": (width, ffn),
        f"{decoder}post_attention_layernorm.weight": (width,),
        "model.norm.weight": (width,),
    }
    assert {key: shapes[key] for key in expected} == expected
    assert ("lm_head.weight" in shapes) is not config.language.tie_word_embeddings


def encoder_tensors(prefix: str) -> dict[str, torch.Tensor]:
    """A tiny stand-alone encoder under a prefix, all zeros."""
    config = tiny_encoder()
    with torch.device("meta"):
        shapes = shapes_of(NaViT(config))
    inventory = encoder_keymap(config, []).inventory(shapes)
    return {f"{prefix}{key}": torch.zeros(entry.shape) for key, entry in inventory.items()}


def tiny_encoder() -> NaViTConfig:
    return NaViTConfig(hidden_size=8, intermediate_size=16, num_layers=1, num_heads=2, patch_size=2)


def load_encoder(folder, tensors):
    save_file(tensors, folder / "model.safetensors")
    with torch.device("meta"):
        shapes = shapes_of(NaViT(tiny_encoder()))
    return encoder_keymap(tiny_encoder(), tensors).load(open_checkpoint(folder), shapes)


def test_a_published_encoder_has_no_prefix(tmp_path):
    tensors = encoder_tensors("")
    assert "embeddings.patch_embedding.weight" in tensors
    assert load_encoder(tmp_path, tensors)["patch_embedding.weight"].shape == (8, 12)


def test_stock_siglip_starts_an_encoder_without_its_positions_and_its_head(tmp_path):
    tensors = encoder_tensors("vision_model.")
    tensors["vision_model.embeddings.position_embedding.weight"] = torch.zeros(9, 8)
    tensors["vision_model.head.attention.in_proj_weight"] = torch.zeros(24, 8)
    tensors["vision_model.head.probe"] = torch.zeros(1, 1, 8)
    tensors["text_model.embeddings.token_embedding.weight"] = torch.zeros(4, 8)
    tensors["logit_scale"] = torch.zeros(1)
    assert load_encoder(tmp_path, tensors)["layers.0.attention.qkv.weight"].shape == (24, 8)
    tensors["vision_model.surprise"] = torch.zeros(1)
    with pytest.raises(WeightsError, match=r"1 key without a rule: vision_model\.surprise"):
        load_encoder(tmp_path, tensors)


def test_the_real_encoder_file_holds_824_megabytes_in_bfloat16():
    with torch.device("meta"):
        inventory = encoder_keymap(siglip_navit(), []).inventory(shapes_of(NaViT(siglip_navit())))
    assert 2 * sum(torch.Size(entry.shape).numel() for entry in inventory.values()) == 824_294_880


@pytest.mark.parametrize("prefix", ["", "model.mm_projector.", "mm_projector."])
def test_a_projector_is_found_under_any_prefix(tmp_path, prefix):
    tensors = {f"{prefix}readout.0.weight": torch.ones(4, 3), f"{prefix}readout.2.weight": torch.ones(4, 4)}
    save_file(tensors, tmp_path / "model.safetensors")
    state = connector_keymap(tensors).load(
        open_checkpoint(tmp_path), {"fc1.weight": (4, 3), "fc2.weight": (4, 4)}
    )
    assert state.keys() == {"fc1.weight", "fc2.weight"}
