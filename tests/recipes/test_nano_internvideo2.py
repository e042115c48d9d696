from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import kinema
from kinema.datasets.toybox_films import ToyboxFilms
from kinema.models.internvideo2.stage2_checkpoint import load_stage2
from kinema.models.internvideo2.vision_checkpoint import load_student, load_tower
from kinema.recipes.nano_internvideo2 import (
    masked_stage,
    start_nano_stage2,
    train_nano_stage1,
    train_nano_stage2,
    unmasked_stage,
)
from kinema.recipes.nano_internvideo2_parts import load_pieces, load_teachers, train_nano_parts
from kinema.recipes.nano_languagebind import NanoRun


@pytest.fixture(scope="module")
def parts(internvideo2_run):
    return train_nano_parts(internvideo2_run)


@pytest.fixture(scope="module")
def run(internvideo2_run):
    return replace(internvideo2_run, out_dir=internvideo2_run.out_dir / "seed0")


@pytest.fixture(scope="module")
def stage1(run, parts):
    return train_nano_stage1(run, parts)


@pytest.fixture(scope="module")
def stage2(run, parts, stage1):
    return train_nano_stage2(run, parts, stage1, name="hearing")


def test_teachers_share_the_students_tokens(parts):
    semantic, motion = load_teachers(parts)
    clips = torch.zeros(1, 16, 3, 84, 84)
    assert semantic(clips[:, ::2]).tokens.shape == (3, 1, 1 + 8 * 36, 128)
    assert motion(clips).tokens.shape == (2, 1, 8 * 36, 96)


def test_stage_1_ends_in_a_student_whose_encoder_moved(stage1):
    student, tower = load_student(stage1), load_tower(stage1)
    assert student.config.mae_layers == 2
    assert tower.encoder.config.num_frames == 8


def test_stage_2_loads_as_a_model_of_pictures_clips_sound_and_text(stage2):
    model = kinema.load(stage2)
    assert {"video", "image", "audio"} <= set(model.modalities)
    clip = np.zeros((4, 84, 84, 3), np.uint8)
    vectors = [model.embed_video([clip]), model.embed_image([clip[0]]), model.embed_text("a red circle")]
    assert [vector.shape for vector in vectors] == [(1, 128)] * 3


def test_stage_2_starts_from_the_eyes_of_stage_1_the_words_and_the_ears(parts, stage1):
    model = start_nano_stage2(0, parts, stage1, hears=True)
    student = load_student(stage1)
    eyes = model.vision_encoder.vision_encoder.encoder
    assert torch.equal(eyes.layers[0].mlp.fc1.weight, student.vision_encoder.encoder.layers[0].mlp.fc1.weight)
    assert eyes.config.num_frames == 4
    for network, name in ((model.text_encoder, "words"), (model.hearing.audio_encoder, "ears")):
        learned = torch.load(parts / f"{name}.pt", weights_only=True)
        assert all(torch.equal(network.state_dict()[key], value) for key, value in learned.items())


def test_the_masked_step_leaves_the_ears_and_the_unmasked_one_the_eyes(parts):
    run, tokenizer = NanoRun(out_dir=Path("unused")), load_pieces(parts)
    masked, unmasked = (stage(run, tokenizer, ToyboxFilms()) for stage in (masked_stage, unmasked_stage))
    eyes, ears = "vision_encoder.vision_encoder", "hearing.audio_encoder"
    assert {eyes, ears} & masked.learning_rates.keys() == {eyes}
    assert {eyes, ears} & unmasked.learning_rates.keys() == {ears}
    assert (masked.loss.video_mask_ratio, unmasked.loss.video_mask_ratio) == (0.5, 0.0)


@pytest.mark.parametrize("stage", [masked_stage, unmasked_stage])
def test_video_weighs_three_times_as_much_as_sound_where_there_is_sound(parts, stage):
    run, tokenizer = NanoRun(out_dir=Path("unused")), load_pieces(parts)
    films = (ToyboxFilms(has_sound=has_sound) for has_sound in (True, False))
    hearing, seeing = (stage(run, tokenizer, each).loss.weights for each in films)
    assert seeing == {"vtc": 1, "vtm": 4, "mlm": 1}
    assert hearing.items() >= {"vtc": 3, "vtm": 12, "mlm": 3, "avtc": 1, "avtm": 4, "avmlm": 1}.items()


def test_a_model_without_ears_can_start_from_nothing(run, parts):
    folder = train_nano_stage2(run, parts, None, hears=False, name="blank")
    assert load_stage2(folder).hearing is None


def test_a_finished_run_is_not_trained_again(run, parts, stage1, stage2):
    before = [(folder / "model.safetensors").stat().st_mtime_ns for folder in (stage1, stage2)]
    again = train_nano_stage1(run, parts), train_nano_stage2(run, parts, stage1, name="hearing")
    assert again == (stage1, stage2)
    assert [(folder / "model.safetensors").stat().st_mtime_ns for folder in (stage1, stage2)] == before
