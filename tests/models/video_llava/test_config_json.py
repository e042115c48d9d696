import json
from dataclasses import replace

import pytest
from golden_video_llava import official_config

from kinema.errors import WeightsError
from kinema.models.languagebind.config import Modality
from kinema.models.registry import find_family
from kinema.models.video_llava.config import VideoLLaVAConfig, video_llava_7b
from kinema.models.video_llava.config_json import parse_config, write_config
from kinema.models.video_llava.keys import Layout

PLACEHOLDERS = {"<image>": 32000, "<video>": 32001, "<pad>": 32002}

PUBLISHED = {
    "model_type": "llava",
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-05,
    "max_position_embeddings": 4096,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "vocab_size": 32000,
    "mm_hidden_size": 1024,
    "mm_image_tower": "LanguageBind/LanguageBind_Image",
    "mm_video_tower": "LanguageBind/LanguageBind_Video_merge",
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "patch",
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
}

CONVERTED = {
    "model_type": "video_llava",
    "image_token_index": 32000,
    "projector_hidden_act": "gelu",
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default",
    "text_config": {"model_type": "llama", "rms_norm_eps": 1e-05, "vocab_size": 32064},
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "patch_size": 14,
    },
}


def test_the_published_config_names_its_towers_and_says_no_sizes():
    assert parse_config(PUBLISHED) == video_llava_7b()
    older = {**PUBLISHED, "mm_video_tower": "./cache_dir/LanguageBind_Video", "model_type": "llava_llama"}
    assert parse_config(older) == video_llava_7b()


def test_the_published_conversion_leaves_what_is_transformers_default():
    whole = video_llava_7b()
    tower = replace(whole.towers[Modality.IMAGE], activation="quick_gelu")
    expected = VideoLLaVAConfig(
        towers={Modality.IMAGE: tower, Modality.VIDEO: tower},
        language=replace(whole.language, vocab_size=32064),
    )
    assert parse_config(CONVERTED) == expected
    gelu = {**CONVERTED["vision_config"], "hidden_act": "gelu"}
    assert parse_config({**CONVERTED, "vision_config": gelu}).towers[Modality.VIDEO].activation == "gelu"


def test_what_is_written_is_read_again(golden):
    tiny = parse_config(official_config(golden))
    for config in (video_llava_7b(), tiny):
        content = write_config(config, Layout.OFFICIAL, dtype="bfloat16", placeholders={}, image_fit="pad")
        assert parse_config(json.loads(json.dumps(content))) == config
        image = config.towers[Modality.IMAGE]
        port = replace(config, towers={Modality.IMAGE: image, Modality.VIDEO: image})
        content = write_config(
            port, Layout.TRANSFORMERS, dtype="bfloat16", placeholders=PLACEHOLDERS, image_fit="pad"
        )
        assert parse_config(json.loads(json.dumps(content))) == port


def test_the_published_model_is_written_as_published():
    content = write_config(
        video_llava_7b(), Layout.OFFICIAL, dtype="bfloat16", placeholders={}, image_fit="pad"
    )
    assert {name: content[name] for name in PUBLISHED} == PUBLISHED
    assert content["image_aspect_ratio"] == "pad"


@pytest.mark.parametrize(
    "content",
    [
        {"model_type": "llava", "vision_config": {}, "text_config": {}},
        {"model_type": "llava", "mm_vision_tower": "openai/clip-vit-large-patch14-336"},
    ],
)
def test_llava_is_told_apart(content):
    assert find_family(content).name == "video_llava"  # the model_type is the same
    with pytest.raises(WeightsError, match="without mm_video_tower is LLaVA, which sees images alone"):
        parse_config(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mm_projector_type": "linear"}, "mm_projector_type 'linear'"),
        ({"mm_use_im_start_end": True}, "mm_use_im_start_end True"),
        (
            {"mm_video_tower": "MCG-NJU/videomae-base"},
            "tower 'MCG-NJU/videomae-base', whose sizes are not known",
        ),
        ({"mm_hidden_size": 768}, "mm_hidden_size 768"),
        ({"attention_bias": True}, "attention_bias True"),
        ({"mm_image_tower": None}, "needs a tower for image"),
        ({"model_type": "qwen2"}, "model_type 'qwen2' is not Video-LLaVA"),
    ],
)
def test_what_the_architecture_has_not_is_refused(change, message):
    with pytest.raises(ValueError if "needs a tower" in message else WeightsError, match=message):
        parse_config({**PUBLISHED, **change})
