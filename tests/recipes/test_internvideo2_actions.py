from dataclasses import replace

import numpy as np
import pytest
import torch
from directions import DIRECTIONS, Directions, film
from PIL import Image

from kinema.datasets.action_lists import FRAMES, ActionList
from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError
from kinema.media.write import write_video
from kinema.models.internvideo2.classifier import start_classifier
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig
from kinema.processors.clip_training import ClipTraining, ClipTrainingConfig
from kinema.processors.messages import Conversation, Message, TextPart, VideoPart
from kinema.processors.random_crops import AreaCrop
from kinema.recipes.internvideo2_actions import FINE_TUNED, PROBED, recognise_actions
from kinema.training.init import init_weights
from kinema.training.loop import train
from kinema.training.run import RunConfig

RUNS = FINE_TUNED | PROBED
SIDE = 28


@pytest.fixture
def tower():
    torch.manual_seed(0)
    config = InternVideo2VisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_layers=2,
        num_heads=2,
        num_frames=4,
        image_size=SIDE,
        patch_size=7,
        layer_scale=0.1,
    )
    return InternVideo2Tower(config, 16)


DATA = mixture((Directions(SIDE), 1.0))
TRAINING = ClipTraining(ClipTrainingConfig())


def short(stage, *, num_steps, batch_size):
    """A stage on four small frames of a clip."""
    frames = replace(stage.processor["frames"], num_frames=4)
    clips = {**stage.processor, "size": SIDE, "frames": frames}
    return replace(stage, num_steps=num_steps, batch_size=batch_size, processor=clips)


def here(folder):
    return RunConfig(out_dir=folder, num_workers=0)


def test_fine_tuning_of_the_1b_is_the_published_one():
    (stage,) = recognise_actions("1b_k710", DATA, 256_000)
    rates = stage.learning_rates
    assert rates["head"] == rates["vision_encoder.pool"] == pytest.approx(1e-4)  # 5e-5 for 256 clips, of 512
    assert rates["vision_encoder.encoder"] == pytest.approx(1e-4)
    assert stage.optimizer.layer_decay == {"vision_encoder.encoder": 0.9}
    assert (stage.batch_size, stage.num_steps) == (512, 9000)
    assert list(stage.order.batch(0, 4)) == [x for x in stage.order.order.batch(0, 2) for _ in (0, 1)]
    assert stage.loss.mixing is not None


def test_probes_learn_no_layer_of_the_encoder():
    names = {name: set(recognise_actions(name, DATA, 1024)[0].learning_rates) for name in PROBED}
    assert names["1b_k710_attentive"] == {"norm", "head", "vision_encoder.pool"}
    assert names["1b_k400_linear"] == {"norm", "head"}
    assert names["1b_ssv2_attentive"] == {"norm", "head", "vision_encoder.pool", "residual_mlp"}
    assert names["6b_ssv2_linear"] == {"norm", "head", "frame_reader"}


def test_runs_differ_in_what_they_draw():
    clips = {name: recognise_actions(name, DATA, 4)[0].processor for name in RUNS}
    assert {name for name in RUNS if clips[name]["augmentation"].flip_share == 0} == {
        name for name in RUNS if "ssv" in name
    }
    assert {name for name in RUNS if clips[name]["frames"].rule == "dense"} == {"ucf101_linear"}
    assert {name for name in RUNS if clips[name]["size"] == 336} == {"6b_mit_336"}
    strong, weak = (clips[name]["augmentation"].rand_augment for name in ("1b_mit", "1b_mit_attentive"))
    assert (strong.magnitude, strong.num_changes, strong.spread) == (7, 4, 0.5)
    assert (weak.magnitude, weak.num_changes, weak.spread) == (5, 2, 0.25)
    assert clips["6b_hacs_attentive"]["augmentation"].rand_augment == strong
    for stage in clips.values():
        assert stage["augmentation"].crop == AreaCrop(min_area=0.08, max_aspect=4 / 3, resampling="bilinear")
        assert stage["augmentation"].erasing.share == 0.25


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("1b_mit", (256, 15, 5, 5e-5, 1, 0.9, 0.05, 8, "4x3")),
        ("6b_mit_336", (256, 2, 0, 1e-5, 1, 0.915, 0.1, 8, "4x3")),
        ("1b_ssv1", (256, 9, 3, 1e-4, 2, 0.915, 0.05, 8, "2x3")),
        ("6b_ssv1", (256, 7, 2, 7.5e-5, 2, 0.915, 0.05, 8, "4x3")),
        ("6b_anet_attentive", (1024, 40, 0, 2e-4, 1, None, 0.0, 16, "4x3")),
        ("6b_mit_attentive", (2048, 30, 5, 1e-4, 1, None, 0.0, 16, "1x3")),
        ("ucf101_linear", (512, 20, 0, 1e-3, 1, None, 0.0, 16, "2x1")),
        ("hmdb51_linear", (512, 20, 0, 2e-3, 1, None, 0.0, 16, "2x1")),
    ],
)
def test_numbers_are_those_of_the_scripts(name, numbers):
    run, views = RUNS[name], RUNS[name].test_views
    assert numbers == (
        run.batch_size,
        run.epochs,
        run.warmup_epochs,
        run.base_rate,
        run.repeats,
        run.layer_decay,
        run.weight_decay,
        run.num_frames,
        f"{views.num_clips}x{views.num_crops}",
    )


def test_the_last_rate_grows_with_the_batch_as_the_peak_does():
    (stage,) = recognise_actions("1b_k710", DATA, 4)
    assert stage.schedule.final_ratio == pytest.approx(1e-6 / 5e-5)
    (stage,) = recognise_actions("6b_k710", DATA, 4)
    assert stage.schedule.final_ratio == 0


@pytest.mark.parametrize("name", RUNS)
def test_every_run_trains_a_classifier_of_its_form(name, tower, tmp_path):
    run = RUNS[name]
    classifier = start_classifier(tower, num_classes=2, form=run.form, dropout=run.dropout)
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    (stage,) = recognise_actions(name, DATA, 4)
    train(classifier, TRAINING, [short(stage, num_steps=2, batch_size=4)], here(tmp_path))
    parts = tuple(f"{part}." for part in stage.learning_rates)
    moved = {key for key, value in classifier.state_dict().items() if not torch.equal(value, before[key])}
    assert "head.weight" in moved
    assert all(f"{key}.".startswith(parts) for key in moved)


@pytest.mark.parametrize("name", ["1b_mit", "6b_anet_attentive"])
def test_a_run_reads_a_list_of_files(name, tower, tmp_path):
    rng = np.random.default_rng(0)
    for motion in DIRECTIONS:
        write_video(tmp_path / f"{motion}.mp4", film(motion, SIDE, rng).frames(8.0), fps=8.0)
    (tmp_path / "train.csv").write_text("right.mp4 0\nleft.mp4 1\n")
    listed = ActionList(file=tmp_path / "train.csv", media_dir=tmp_path, num_classes=2)
    (stage,) = recognise_actions(name, mixture((listed, 1.0)), len(listed))
    classifier = start_classifier(tower, num_classes=2)
    train(classifier, TRAINING, [short(stage, num_steps=1, batch_size=2)], here(tmp_path))


def test_something_something_is_read_from_folders_of_frames(tower, tmp_path):
    rng = np.random.default_rng(0)
    for motion in DIRECTIONS:
        (tmp_path / motion).mkdir()
        for number, frame in enumerate(film(motion, SIDE, rng).frames(8.0), start=1):
            Image.fromarray(frame).save(tmp_path / motion / f"{number:05}.jpg")
    (tmp_path / "train.csv").write_text("right 16 0\nleft 16 1\n")
    listed = ActionList(
        file=tmp_path / "train.csv", media_dir=tmp_path, columns=FRAMES, frame_name="{:05}.jpg"
    )
    (stage,) = recognise_actions("1b_ssv1", mixture((listed, 1.0)), len(listed))
    classifier = start_classifier(tower, num_classes=2)
    train(classifier, TRAINING, [short(stage, num_steps=1, batch_size=4)], here(tmp_path))


class Waves:
    """Clips in which a bright square goes right (0) or left (1), a patch a frame."""

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        frames = np.zeros((4, SIDE, SIDE, 3), dtype=np.uint8)
        for time in range(4):
            column = time if index % 2 == 0 else 3 - time
            frames[time, 7:21, 7 * column : 7 * column + 7] = rng.integers(150, 255)
        shown = Message(role="user", parts=(VideoPart(source=frames),))
        answer = Message(role="assistant", parts=(TextPart(text=str(index % 2)),))
        return Conversation(messages=(shown, answer))


def test_a_fine_tuned_model_tells_one_direction_from_the_other(tower, tmp_path):
    classifier = start_classifier(tower, num_classes=2)
    init_weights(classifier, seed=0)
    (stage,) = recognise_actions("s14_ssv2", mixture((Waves(), 1.0)), 4096)
    quick = short(stage, num_steps=60, batch_size=16)
    mild = replace(stage.processor["augmentation"], rand_augment=None, crop=AreaCrop(min_area=0.8))
    quick = replace(
        quick,
        learning_rates=dict.fromkeys(stage.learning_rates, 5e-3),
        loss=replace(stage.loss, mixing=None),
        optimizer=replace(stage.optimizer, rule="muon", layer_decay={}),
        processor={**quick.processor, "augmentation": mild},
    )
    train(classifier, TRAINING, [quick], here(tmp_path))
    unseen = [Waves().sample(index, np.random.default_rng([9, index])) for index in range(40)]
    held_out = TRAINING.with_settings(**quick.processor)(unseen)
    with torch.no_grad():
        found = classifier.eval()(held_out.pixel_values).argmax(-1)
    assert torch.equal(found, held_out.labels)


def test_an_unknown_run_is_named():
    with pytest.raises(ConfigError, match="no run 'k9000'; there are 1b_k710"):
        recognise_actions("k9000", DATA, 4)
