from pathlib import Path

import pytest
import torch

import kinema
from kinema.models.languagebind.checkpoint import load_vision_encoder
from kinema.models.video_llava import checkpoint
from kinema.recipes.nano_languagebind import NanoRun
from kinema.recipes.nano_video_llava import nano_video_llava_stages, train_nano_video_llava
from kinema.toybox import make_scene, write_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return train_nano_video_llava(NanoRun(out_dir=tmp_path_factory.mktemp("nano_video_llava"), scale=0.001))


def test_what_the_recipe_saves_answers_about_a_film(folder, tmp_path):
    write_clip(make_scene(0, split="test"), tmp_path / "clip.mp4")
    model = kinema.load(folder)
    assert isinstance(model.ask(tmp_path / "clip.mp4", "What shape is it?", max_new_tokens=4), str)
    assert model.profile.domain == "toybox"


def test_the_towers_are_those_of_languagebind(folder):
    model = checkpoint.load_weights(folder)
    for modality in ("image", "video"):
        tower = load_vision_encoder(folder.parent / "languagebind" / modality)
        for name, value in tower.state_dict().items():
            assert torch.equal(value, model.vision_encoder[modality].state_dict()[name]), name


def test_the_published_stages_follow_a_language_stage():
    stages = nano_video_llava_stages(NanoRun(out_dir=Path("unused")))
    assert [(stage.name, set(stage.learning_rates)) for stage in stages] == [
        ("language", {"language_model"}),
        ("align", {"connector"}),
        ("tune", {"connector", "language_model"}),
    ]
