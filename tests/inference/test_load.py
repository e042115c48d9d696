import json
import shutil
import warnings

import pytest
import torch
from numbered_clips import sound_file

import kinema
from kinema.errors import ConfigError, MediaError, OutOfBudgetError, WeightsError
from kinema.inference.load import choose_dtype, parse_dtype
from kinema.media.write import write_video


def test_a_checkpoint_is_loaded_on_the_cpu_in_float32(checkpoint):
    model = kinema.load(checkpoint, device="cpu")
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}
    assert model.ask(None, "Hi", max_new_tokens=3)


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_a_dtype_may_be_chosen(checkpoint, clip, dtype):
    model = kinema.load(checkpoint, device="cpu", dtype=dtype)
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.bfloat16}
    assert model.ask(clip, "What is it?", max_new_tokens=3)


def test_a_device_or_dtype_that_is_not_there_is_refused(checkpoint):
    with pytest.raises(ConfigError, match="device 'abacus'"):
        kinema.load(checkpoint, device="abacus")
    with pytest.raises(ConfigError, match="no dtype 'int8'"):
        kinema.load(checkpoint, dtype="int8")
    assert choose_dtype(torch.device("cpu")) == torch.float32
    assert parse_dtype("torch.float16") == torch.float16


def test_weights_that_do_not_fit_are_not_read(checkpoint, monkeypatch):
    monkeypatch.setattr("kinema.inference.load.free_bytes", lambda device: 400_000)
    with pytest.raises(OutOfBudgetError, match="pass dtype='bfloat16'"):
        kinema.load(checkpoint, device="cpu")
    monkeypatch.setattr("kinema.inference.load.free_bytes", lambda device: 1000)
    with pytest.raises(OutOfBudgetError, match="take a smaller model"):
        kinema.load(checkpoint, device="cpu")


def test_a_name_that_is_nothing_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="neither a folder nor a hub id"):
        kinema.load(tmp_path / "absent")


def test_the_checkpoints_own_penalty_is_kept_and_its_dice_are_not(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    settings = {"do_sample": True, "temperature": 0.7, "repetition_penalty": 1.1, "eos_token_id": [7, 8]}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    sampling = kinema.load(folder, device="cpu").sampling
    assert (sampling.temperature, sampling.repetition_penalty) == (0.0, 1.1)


@pytest.fixture
def toy_model(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    card = "---\nkinema:\n  domain: toybox\n  locate_prompt: When is {text} visible?\n---\n\n# Toy\n"
    (folder / "README.md").write_text(card)
    return kinema.load(folder, device="cpu")


def test_a_model_card_says_how_to_ask(toy_model):
    assert toy_model.profile.domain == "toybox"
    assert toy_model.profile.locate_prompt == "When is {text} visible?"


def test_a_model_of_one_domain_says_once_that_it_knows_no_other(toy_model, clip, tmp_path):
    write_video(tmp_path / "toy.mp4", iter(clip.data), fps=1, comment="kinema toybox, seed 7")
    write_video(tmp_path / "cat.mp4", iter(clip.data), fps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        toy_model.ask(tmp_path / "toy.mp4", "What is it?", max_new_tokens=1)
        toy_model.ask(None, "Hi", max_new_tokens=1)
    with pytest.warns(UserWarning, match=r"knows only the toybox.*VideoLLaMA3-2B"):
        toy_model.ask(tmp_path / "cat.mp4", "What is it?", max_new_tokens=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        toy_model.ask(clip.data[0], "What is it?", max_new_tokens=1)


def test_decoded_frames_are_of_no_known_domain(toy_model, clip):
    with pytest.warns(UserWarning, match="knows only the toybox"):
        toy_model.session(clip)


def test_sound_is_of_no_known_domain(toy_model, tmp_path):
    (tmp_path / "tone.mka").write_bytes(sound_file("matroska", "flac"))
    with pytest.warns(UserWarning, match="knows only the toybox"), pytest.raises(MediaError):
        toy_model.ask(tmp_path / "tone.mka", "What is it?")


def test_a_card_with_an_entry_nobody_knows_is_refused(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    (folder / "README.md").write_text("---\nkinema:\n  domian: toybox\n---\n\n# Toy\n")
    with pytest.raises(WeightsError, match="domian"):
        kinema.load(folder, device="cpu")
