import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import kinema
from kinema.models.internvideo2.chat_checkpoint import load_chat
from kinema.models.internvideo2.chat_processor import MODEL_FRAMES
from kinema.models.internvideo2.vision_checkpoint import load_tower
from kinema.recipes.internvideo2_stage3 import UPDATES
from kinema.recipes.nano_internvideo2_chat import (
    NUM_EXTRA_QUERIES,
    NUM_QUERIES,
    nano_chat_stages,
    train_nano_chat,
)
from kinema.recipes.nano_languagebind import NanoRun
from kinema.toybox import make_scene, write_clip


@pytest.fixture(scope="module")
def folder(internvideo2_run, tmp_path_factory) -> Path:
    out_dir = tmp_path_factory.mktemp("nano_chat")
    shutil.copytree(internvideo2_run.out_dir / "parts", out_dir / "parts")
    return train_nano_chat(replace(internvideo2_run, out_dir=out_dir))


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("films") / "clip.mp4"
    write_clip(make_scene(0, split="test"), path)
    return path


def test_what_the_recipe_saves_answers_about_a_film(folder, film):
    model = kinema.load(folder, device="cpu")
    assert isinstance(model.ask(film, "What shape is it?", max_new_tokens=4), str)
    assert model.last_usage.visual_tokens == NUM_QUERIES + NUM_EXTRA_QUERIES
    assert model.profile.domain == "toybox"


def test_its_eyes_are_those_of_stage_2_but_for_the_last_layer(folder):
    eyes, tower = load_chat(folder).vision_encoder, load_tower(folder.parent / "stage2").encoder
    assert len(eyes.layers) == len(tower.layers) - 1
    assert (eyes.config.num_frames, tower.config.num_frames) == (MODEL_FRAMES, 4)
    learned, started = eyes.layers[0].attention.qkv.weight, tower.layers[0].attention.qkv.weight
    assert 0 < (learned - started).norm() < 0.2 * started.norm()  # two steps away
    clip = torch.randn(1, MODEL_FRAMES, 3, 84, 84)
    assert torch.isfinite(eyes(clip)).all()


def test_the_published_stages_follow_a_language_stage():
    between = {"vision_norm", "connector", "up_projection"}
    stages = nano_chat_stages(NanoRun(out_dir=Path("unused")))
    assert [(stage.name, set(stage.learning_rates)) for stage in stages] == [
        ("language", {"language_model"}),
        ("align", between),
        ("connect", between | {"vision_encoder"}),
        ("instruct", between | {"vision_encoder", *UPDATES}),
    ]
