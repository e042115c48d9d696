from pathlib import Path

import pytest
import torch

import kinema
from kinema.models.internvideo2.captioner_checkpoint import load_captioner
from kinema.recipes.nano_audio_captioner import (
    NUM_QUERIES,
    nano_captioner_scores,
    nano_captioner_stages,
    train_nano_captioner,
)
from kinema.recipes.nano_languagebind import NanoRun
from kinema.toybox import make_scene, write_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return train_nano_captioner(NanoRun(out_dir=tmp_path_factory.mktemp("nano_captioner"), scale=0.001))


def test_what_the_recipe_saves_captions_a_film_by_ear(folder, tmp_path):
    write_clip(make_scene(0, split="test", height=32, width=32), tmp_path / "clip.mp4")
    model = kinema.load(folder)
    assert isinstance(model.caption(tmp_path / "clip.mp4", max_new_tokens=4), str)
    assert model.last_usage.visual_tokens == NUM_QUERIES
    assert model.profile.domain == "toybox"
    scores = nano_captioner_scores(folder, num_films=1)
    assert list(scores) == ["heard", "blind", "constant", "shuffled", "long"]
    assert scores["constant"].exact == 1.0


def test_its_ears_are_those_that_learned_alone(folder):
    ears = torch.load(folder.parent / "ears.pt", weights_only=True)
    trained = load_captioner(folder).audio_encoder.state_dict()
    assert all(torch.equal(trained[name], value) for name, value in ears.items())


def test_after_the_language_stage_the_qformer_alone_learns_as_published():
    stages = nano_captioner_stages(NanoRun(out_dir=Path("unused")))
    assert [(stage.name, set(stage.learning_rates)) for stage in stages] == [
        ("language", {"language_model"}),
        ("captions", {"connector", "up_projection"}),
    ]
