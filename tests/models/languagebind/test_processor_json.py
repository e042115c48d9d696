import json
from dataclasses import replace

import pytest
import torch
from clip_vocabulary import small_tokenizer
from safetensors.torch import load_file
from small_languagebind import small_config, write_languagebind

from kinema.errors import ConfigError, WeightsError
from kinema.models.languagebind.checkpoint import convert, load, load_outline, save
from kinema.models.languagebind.config import Modality
from kinema.processors.clip_text import CLIPTokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return CLIPTokenizer(small_tokenizer(tmp_path_factory.mktemp("vocabulary")), num_positions=12)


@pytest.fixture
def folder_of(tmp_path, tokenizer):
    return lambda modality: write_languagebind(tmp_path / modality, modality, tokenizer)


def set_vision_fields(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"] |= fields
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("modality", list(Modality))
def test_a_saved_checkpoint_gives_model_and_processor_again(folder_of, tmp_path, modality):
    loaded = load(folder_of(modality))
    save(loaded.model, loaded.processor, tmp_path / "again")
    again = load(tmp_path / "again")
    assert (
        again.model.config
        == loaded.model.config
        == small_config(modality, loaded.model.config.text.vocab_size)
    )
    assert again.processor.config == loaded.processor.config
    assert again.generation is None
    texts = ["a cat", "the dog barks"]
    assert torch.equal(again.processor.texts(texts).input_ids, loaded.processor.texts(texts).input_ids)


def test_sizes_of_the_towers_are_sizes_of_the_input(folder_of):
    video, audio = (
        load(folder_of(modality)).processor.config for modality in (Modality.VIDEO, Modality.AUDIO)
    )
    assert (video.num_frames, video.pixels.size) == (4, 28)
    assert (audio.sound.num_mel_bins, audio.sound.target_length) == (28, 42)


def test_a_checkpoint_says_how_deep_white_is_and_how_loud_sound_was(folder_of):
    depth = set_vision_fields(folder_of(Modality.DEPTH), max_depth=5)
    assert load(depth).processor.config.max_depth_m == 5
    audio = set_vision_fields(folder_of(Modality.AUDIO), audio_mean=-1.0, audio_std=2.0)
    sound = load(audio).processor.config.sound
    assert (sound.mean, sound.std, sound.variant) == (-1.0, 2.0, "languagebind")


def test_the_older_copy_is_a_mode_by_name(folder_of):
    folder = folder_of(Modality.AUDIO)
    assert load(folder, compat="video_llava_copy").processor.config.sound.variant == "video_llava_copy"
    with pytest.raises(ConfigError, match="no compat mode 'newest'"):
        load(folder, compat="newest")


def test_the_swapped_mean_and_deviation_of_an_early_config_are_noticed(folder_of):
    folder = set_vision_fields(folder_of(Modality.AUDIO), audio_mean=4.5689974, audio_std=-4.2677393)
    with pytest.raises(ConfigError, match="are mean and std swapped"):
        load(folder)


def test_an_outline_has_shapes_and_the_processor_without_weights(folder_of):
    folder = folder_of(Modality.VIDEO)
    (folder / "model.safetensors").unlink()
    outline = load_outline(folder, dtype=torch.bfloat16)
    assert {(tensor.device.type, tensor.dtype) for tensor in outline.model.parameters()} == {
        ("meta", torch.bfloat16)
    }
    assert outline.processor.config.num_frames == 4


def test_convert_casts_and_keeps_every_tensor(folder_of, tmp_path):
    folder = folder_of(Modality.IMAGE)
    convert(folder, tmp_path / "half", layout="official", dtype=torch.bfloat16)
    before, after = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "half"))
    assert before.keys() == after.keys()
    assert all(torch.equal(after[key], tensor.bfloat16()) for key, tensor in before.items())
    with pytest.raises(WeightsError, match="no layout 'transformers'"):
        convert(folder, tmp_path / "other", layout="transformers")


def test_settings_that_the_files_cannot_say_are_not_lost_silently(folder_of, tmp_path):
    loaded = load(folder_of(Modality.VIDEO))
    antialiased = loaded.processor.with_settings(
        pixels=replace(loaded.processor.config.pixels, antialias=True)
    )
    with pytest.raises(WeightsError, match="no place for these settings"):
        save(loaded.model, antialiased, tmp_path / "lost")
    assert not (tmp_path / "lost").exists()


def test_a_vocabulary_of_another_model_is_refused(folder_of, tmp_path):
    folder = folder_of(Modality.IMAGE)
    loaded = load(folder)
    loaded.processor.tokenizer.backend.add_tokens(["more"])
    content = json.loads((folder / "tokenizer.json").read_text())
    end = content["model"]["vocab"].pop("<|endoftext|>")
    content["model"]["vocab"]["<|end|>"] = end
    content["model"]["vocab"]["<|endoftext|>"] = end + 1
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(WeightsError, match="vocabulary is of another model"):
        load(folder)
