from dataclasses import replace

import numpy as np
import pytest
import torch

from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError
from kinema.models.internvideo2.classifier import start_classifier
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig
from kinema.processors.labelled import LabelledClips
from kinema.processors.messages import Conversation, Message, TextPart, VideoPart
from kinema.recipes.internvideo2_actions import FINE_TUNED, PROBED, recognise_actions
from kinema.training.loop import RunConfig, train


class Waves:
    """Clips in which a bright square goes right (0) or left (1)."""

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        frames = np.zeros((4, 8, 8, 3), dtype=np.uint8)
        for time in range(4):
            column = time if index % 2 == 0 else 3 - time
            frames[time, 2:6, 2 * column : 2 * column + 2] = rng.integers(150, 255)
        turns = (Message(role="user", parts=(VideoPart(source=frames),)),)
        answer = Message(role="assistant", parts=(TextPart(text=str(index % 2)),))
        return Conversation(messages=(*turns, answer))


class Labelling:
    def __call__(self, conversations, *, with_labels):
        frames = [torch.from_numpy(talk.messages[0].parts[0].source) for talk in conversations]
        pixels = torch.stack(frames).permute(0, 1, 4, 2, 3) / 255
        labels = torch.tensor([int(talk.messages[1].text) for talk in conversations])
        return LabelledClips(pixel_values=pixels, labels=labels)

    def with_settings(self, **settings):
        assert not settings
        return self


@pytest.fixture
def tower():
    torch.manual_seed(0)
    config = InternVideo2VisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_layers=2,
        num_heads=2,
        num_frames=4,
        image_size=8,
        patch_size=2,
        layer_scale=0.1,
    )
    return InternVideo2Tower(config, 16)


DATA = mixture((Waves(), 1.0))


def test_fine_tuning_of_the_1b_is_the_published_one():
    (stage,) = recognise_actions("1b_k710", DATA, 256_000, num_layers=40)
    rates = stage.learning_rates
    assert rates["head"] == rates["vision_encoder.pool"] == pytest.approx(1e-4)  # 5e-5 for 256 clips, of 512
    assert rates["vision_encoder.encoder.layers.39"] == pytest.approx(0.9e-4)
    assert rates["vision_encoder.encoder.layers.38"] == pytest.approx(0.81e-4)
    assert rates["vision_encoder.encoder.positions"] == pytest.approx(1e-4 * 0.9**41)
    assert (stage.batch_size, stage.num_steps) == (512, 9000)
    assert list(stage.order.batch(0, 4)) == [x for x in stage.order.order.batch(0, 2) for _ in (0, 1)]
    assert stage.loss.mixing is not None


def test_probes_learn_no_layer_of_the_encoder():
    names = {
        name: set(recognise_actions(name, DATA, 1024, num_layers=2)[0].learning_rates) for name in PROBED
    }
    assert names["1b_k710_attentive"] == {"norm", "head", "vision_encoder.pool"}
    assert names["1b_k400_linear"] == {"norm", "head"}
    assert names["1b_ssv2_attentive"] == {"norm", "head", "vision_encoder.pool", "residual_mlp"}
    assert names["6b_ssv2_linear"] == {"norm", "head", "frame_reader"}


@pytest.mark.parametrize("name", [*FINE_TUNED, *PROBED])
def test_every_run_finds_its_parts_in_a_classifier_of_its_form(name, tower, tmp_path):
    run = (FINE_TUNED | PROBED)[name]
    classifier = start_classifier(tower, num_classes=2, form=run.form)
    (stage,) = recognise_actions(name, DATA, 4, num_layers=2)
    short = replace(stage, num_steps=1, batch_size=2)
    train(classifier, Labelling(), [short], RunConfig(out_dir=tmp_path, num_workers=0))


def test_a_fine_tuned_model_tells_one_direction_from_the_other(tower, tmp_path):
    classifier = start_classifier(tower, num_classes=2)
    (stage,) = recognise_actions("s14_k710", DATA, 4, num_layers=2)
    rates = dict.fromkeys(stage.learning_rates, 3e-3)
    short = replace(
        stage, num_steps=60, batch_size=16, learning_rates=rates, loss=replace(stage.loss, mixing=None)
    )
    train(classifier, Labelling(), [short], RunConfig(out_dir=tmp_path, num_workers=0))
    held_out = Labelling()(
        [Waves().sample(index, np.random.default_rng(index)) for index in range(20)], with_labels=True
    )
    with torch.no_grad():
        found = classifier.eval()(held_out.pixel_values).argmax(-1)
    assert torch.equal(found, held_out.labels)


def test_an_unknown_run_is_named():
    with pytest.raises(ConfigError, match="no run 'k9000'; there are 1b_k710"):
        recognise_actions("k9000", DATA, 4, num_layers=2)
