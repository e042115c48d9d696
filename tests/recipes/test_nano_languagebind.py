from pathlib import Path

import numpy as np
import pytest
import torch

import kinema
from kinema.models.languagebind import checkpoint
from kinema.recipes.nano_languagebind import NanoRun, train_nano_languagebind, video_stage

SCALE = 0.001


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    run = NanoRun(out_dir=tmp_path_factory.mktemp("nano_languagebind"), scale=SCALE)
    return train_nano_languagebind(run)


def test_the_towers_load_as_one_model_that_embeds(folders):
    image, video = map(kinema.load, folders)
    model = video.combined_with(image)
    assert model.modalities == ("video", "image")
    clip = np.zeros((8, 112, 112, 3), np.uint8)
    vectors = [model.embed_video([clip]), model.embed_image([clip[0]]), model.embed_text("a red circle")]
    assert [vector.shape for vector in vectors] == [(1, 128)] * 3


def test_videos_left_the_text_tower_and_the_spatial_weights_as_images_made_them(folders):
    image, video = (checkpoint.load_weights(folder).state_dict() for folder in folders)
    changed = {name for name in image if not torch.equal(image[name], video[name])}
    assert changed <= {
        "vision_encoder.class_embedding",
        "vision_encoder.final_norm.weight",
        "vision_encoder.final_norm.bias",
        "visual_projection.weight",
        "logit_scale",
    }
    assert "visual_projection.weight" in changed
    assert {".temporal." in name for name in video.keys() - image.keys()} == {True}


def test_a_finished_run_is_not_trained_again(folders):
    before = [(folder / "model.safetensors").stat().st_mtime_ns for folder in folders]
    again = train_nano_languagebind(NanoRun(out_dir=folders[0].parent, scale=SCALE))
    assert again == folders
    assert [(folder / "model.safetensors").stat().st_mtime_ns for folder in again] == before


def test_the_video_stage_locks_text():
    assert not any(
        part.startswith("text") for part in video_stage(NanoRun(out_dir=Path("unused"))).learning_rates
    )
