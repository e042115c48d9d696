import json

import pytest

from kinema.errors import WeightsError
from kinema.hub.generation import GenerationDefaults


def test_the_published_settings_are_read(tmp_path):
    published = {
        "do_sample": True,
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "repetition_penalty": 1.05,
        "eos_token_id": [151645, 151643],
        "pad_token_id": 151643,
    }
    (tmp_path / "generation_config.json").write_text(json.dumps(published))
    assert GenerationDefaults.load(tmp_path) == GenerationDefaults(
        do_sample=True,
        temperature=0.7,
        top_p=0.8,
        top_k=20,
        repetition_penalty=1.05,
        eos_token_ids=(151645, 151643),
    )


@pytest.mark.parametrize("config", [{"eos_token_id": 7}, {"text_config": {"eos_token_id": 7}}])
def test_without_the_file_decoding_is_greedy_and_ends_where_the_config_says(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert GenerationDefaults.load(tmp_path) == GenerationDefaults(eos_token_ids=(7,))


def test_what_was_saved_is_read_again(tmp_path):
    defaults = GenerationDefaults(do_sample=True, top_p=0.5, eos_token_ids=(1, 2))
    defaults.save(tmp_path)
    assert GenerationDefaults.load(tmp_path) == defaults


def test_an_answer_without_an_end_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"nor config\.json has an eos_token_id"):
        GenerationDefaults.load(tmp_path)


def test_a_setting_that_is_not_a_number_is_refused(tmp_path):
    (tmp_path / "generation_config.json").write_text('{"temperature": "warm", "eos_token_id": 1}')
    with pytest.raises(WeightsError, match="not a number"):
        GenerationDefaults.load(tmp_path)
