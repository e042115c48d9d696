from dataclasses import replace

import numpy as np
import pytest
import torch

from kinema.errors import ConfigError, DataError
from kinema.processors.augment import ClipAugmentation
from kinema.processors.clip_training import ClipTraining, ClipTrainingConfig
from kinema.processors.drawn_frames import FrameDraw
from kinema.processors.messages import Conversation, Message, TextPart, VideoPart
from kinema.processors.random_crops import AreaCrop
from kinema.processors.views import ViewsConfig, crop_views

FRAMES = np.random.default_rng(0).integers(0, 256, (10, 20, 30, 3), dtype=np.uint8)
CONFIG = ClipTrainingConfig(
    size=14, frames=FrameDraw(num_frames=4), augmentation=ClipAugmentation(crop=AreaCrop(), flip_share=1.0)
)


def talk(label="3", *, seed=None, collection="", clips=1):
    shown = (TextPart(text=collection), *[VideoPart(source=FRAMES)] * clips)
    answer = Message(role="assistant", parts=(TextPart(text=label),))
    return Conversation(messages=(Message(role="user", parts=shown), answer), seed=seed)


def test_clips_come_with_the_numbers_of_their_classes():
    batch = ClipTraining(CONFIG)([talk("3", seed=1), talk("0", seed=2)])
    assert batch.pixel_values.shape == (2, 4, 3, 14, 14)
    assert batch.labels.tolist() == [3, 0]


def test_a_seed_draws_one_view_and_another_seed_another():
    first, again, other = ClipTraining(CONFIG)([talk(seed=1), talk(seed=1), talk(seed=2)]).pixel_values
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_without_a_seed_or_an_augmentation_it_is_the_view_of_validation():
    expected = crop_views(FRAMES[[1, 3, 5, 8]], ViewsConfig(num_crops=1, size=14))[0]
    training = ClipTraining(CONFIG)
    assert torch.equal(training([talk()]).pixel_values[0], expected)
    unchanged = training.with_settings(augmentation=None)
    assert torch.equal(unchanged([talk(seed=1)]).pixel_values[0], expected)


def test_a_collection_about_left_and_right_is_never_mirrored():
    training = ClipTraining(replace(CONFIG, unflipped=("ssv2",)))
    mirrored, kept = training([talk(seed=1, collection="k710"), talk(seed=1, collection="ssv2")]).pixel_values
    assert torch.equal(mirrored, kept.flip(-1))


def test_samples_that_are_no_labelled_clip_are_refused():
    training = ClipTraining(CONFIG)
    with pytest.raises(DataError, match="shows one clip, this one 2"):
        training([talk(clips=2)])
    with pytest.raises(DataError, match=r"number of its class; this one has \['a dog'\]"):
        training([talk("a dog")])
    with pytest.raises(ConfigError, match="got 0"):
        training.with_settings(size=0)
