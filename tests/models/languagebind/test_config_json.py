import pytest

from kinema.errors import WeightsError
from kinema.hub.lora import LoraConfig
from kinema.models.languagebind.config import Modality, languagebind_huge, languagebind_large
from kinema.models.languagebind.config_json import MODEL_TYPES, parse_config, parse_lora, write_config

CONFIGS = [make(modality) for make in (languagebind_large, languagebind_huge) for modality in Modality]


def written(modality=Modality.VIDEO, **vision_fields):
    return write_config(languagebind_large(modality), dtype="float32", vision_fields=vision_fields)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_what_is_written_is_read_as_it_was(config):
    assert parse_config(write_config(config, dtype="bfloat16")) == config


def test_every_modality_has_its_published_type():
    assert MODEL_TYPES == {
        "LanguageBindImage": Modality.IMAGE,
        "LanguageBindVideo": Modality.VIDEO,
        "LanguageBindAudio": Modality.AUDIO,
        "LanguageBindDepth": Modality.DEPTH,
        "LanguageBindThermal": Modality.THERMAL,
    }


def test_a_sound_is_as_large_as_its_spectrogram():
    assert parse_config(written(Modality.AUDIO)).vision.image_size == (126, 1036)


def test_frames_count_only_where_there_is_attention_over_time():
    assert parse_config(written(Modality.IMAGE, num_frames=8)).vision.num_frames is None
    assert parse_config(written(Modality.VIDEO)).vision.num_frames == 8


def test_without_an_activation_it_is_exact_gelu():
    content = written()
    del content["vision_config"]["hidden_act"]
    assert parse_config(content).vision.activation == "gelu"


def test_quick_gelu_is_taken_where_it_is_asked_for():
    assert parse_config(written(hidden_act="quick_gelu")).vision.activation == "quick_gelu"


def test_fields_about_the_input_are_written_beside_the_sizes():
    content = written(Modality.AUDIO, audio_mean=-4.25)
    assert content["vision_config"]["audio_mean"] == -4.25
    assert content["vision_config"]["num_mel_bins"] == 126


def test_rank_and_alpha_are_those_of_the_config():
    assert parse_lora(written(lora_r=64, lora_alpha=16)) == LoraConfig(rank=64, alpha=16)
    assert parse_lora(written(lora_r=0, lora_alpha=16)) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "clip"}, "'clip' is not LanguageBind"),
        ({"projection_dim": None}, "no projection_dim"),
        ({"vision_config": {}}, "has no"),
    ],
)
def test_a_config_of_another_model_is_refused(change, said):
    with pytest.raises(WeightsError, match=said):
        parse_config(written() | change)


@pytest.mark.parametrize(
    "fields", [{"hidden_act": "relu"}, {"num_channels": 4}, {"attention_dropout": 0.1}, {"patch_size": None}]
)
def test_what_the_towers_do_not_have_is_refused(fields):
    with pytest.raises(WeightsError, match=r"config\.json"):
        parse_config(written(**fields))
