import json

import pytest

from kinema.errors import WeightsError
from kinema.hub.tokenizer import load_tokenizer
from kinema.models.videollama3.config import siglip_navit, videollama3_2b, videollama3_7b
from kinema.models.videollama3.config_json import parse_config, parse_vision_config, write_config
from kinema.models.videollama3.keys import Layout
from kinema.processors.tokenizer import TextTokenizer


@pytest.fixture(scope="module")
def official(full_model):
    return json.loads((full_model / "config_official.json").read_text())


@pytest.fixture(scope="module")
def native(full_model):
    return json.loads((full_model / "config_transformers.json").read_text())


@pytest.fixture(scope="module")
def tokenizer(golden_dir):
    return TextTokenizer(load_tokenizer(golden_dir / "videollama3" / "tokenizer"))


def test_both_forms_describe_one_model(official, native):
    assert parse_config(official) == parse_config(native)


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("config", [videollama3_2b(), videollama3_7b()], ids=["2b", "7b"])
def test_what_is_written_is_read_again(config, layout, tokenizer):
    content = write_config(config, layout, tokenizer, dtype="bfloat16", use_token_compression=True)
    assert parse_config(json.loads(json.dumps(content))) == config


def test_the_special_tokens_stand_under_the_name_each_layout_reads(official, native, tokenizer):
    config = parse_config(official)
    written = {
        layout: write_config(config, layout, tokenizer, dtype="float32", use_token_compression=False)
        for layout in Layout
    }
    assert written[Layout.OFFICIAL]["image_token_index"] == official["image_token_index"]
    for name in ("image_token_id", "video_token_id"):
        assert written[Layout.TRANSFORMERS][name] == native[name]


def test_a_trainer_config_names_the_encoder_in_place_of_its_sizes(official):
    trainer = official | {"vision_encoder": "DAMO-NLP-SG/SigLIP-NaViT", "vision_encoder_config": None}
    assert parse_config(trainer).vision == siglip_navit()
    with pytest.raises(WeightsError, match="vision_encoder 'mine'"):
        parse_config(trainer | {"vision_encoder": "mine"})


def test_rope_is_read_from_either_name(official):
    official = {key: value for key, value in official.items() if key != "rope_theta"}
    rope = {"rope_type": "default", "rope_theta": 5000.0}
    assert parse_config(official | {"rope_parameters": rope}).language.rope_theta == 5000
    assert parse_config(official | {"rope_theta": 7000.0}).language.rope_theta == 7000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mm_projector_type", "linear"),
        ("hidden_act", "gelu"),
        ("use_sliding_window", True),
        ("rope_scaling", {"type": "yarn"}),
        ("rope_parameters", {"rope_type": "yarn", "rope_theta": 1.0}),
    ],
)
def test_what_the_architecture_has_not_is_refused_by_name(official, field, value):
    with pytest.raises(WeightsError, match=field if field != "rope_parameters" else "rope_type"):
        parse_config(official | {field: value})


def test_a_field_that_is_missing_is_named(official):
    with pytest.raises(WeightsError, match="no hidden_size"):
        parse_config({key: value for key, value in official.items() if key != "hidden_size"})


def test_another_family_is_named():
    with pytest.raises(WeightsError, match="'qwen2_vl' is not VideoLLaMA3"):
        parse_config({"model_type": "qwen2_vl"})


def test_stock_siglip_is_read_through_its_vision_config():
    # config.json of google/siglip-so400m-patch14-384
    vision = {
        "hidden_size": 1152,
        "image_size": 384,
        "intermediate_size": 4304,
        "model_type": "siglip_vision_model",
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
        "patch_size": 14,
    }
    assert parse_vision_config({"model_type": "siglip", "vision_config": vision}) == siglip_navit()
