from dataclasses import replace

import numpy as np
import pytest
import torch
from numbered_clips import sound_file

from kinema.datasets.toybox_pairs import pair
from kinema.errors import DataError
from kinema.media.frames import AudioClip
from kinema.models.languagebind.config import Modality
from kinema.models.languagebind.pairs import PairProcessor
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart
from kinema.processors.spectrogram import SpectrogramConfig
from kinema.recipes.nano_languagebind import nano_clip_tokenizer, nano_languagebind_processor


@pytest.fixture(scope="module")
def processor() -> PairProcessor:
    return PairProcessor(nano_languagebind_processor(Modality.IMAGE, nano_clip_tokenizer(scale=0.01)))


def picture(level: int) -> ImagePart:
    return ImagePart(source=np.full((112, 112, 3), level, np.uint8))


def test_what_is_shown_stands_beside_its_answer(processor):
    pairs = processor([pair(picture(0), "a circle"), pair(picture(255), "a red circle")], with_labels=True)
    assert pairs.pixel_values.shape == (2, 1, 3, 112, 112)
    assert pairs.pixel_values[0].max() < 0 < pairs.pixel_values[1].min()
    end = processor.processor.tokenizer.end_id
    assert pairs.input_ids.shape == (2, 5)  # start, three words, end
    assert pairs.input_ids.argmax(-1).tolist() == [3, 4]
    assert pairs.input_ids[:, -1].tolist() == [end, end]


def test_settings_reach_the_processor(processor):
    changed = processor.with_settings(num_frames=4)
    assert (changed.processor.config.num_frames, processor.processor.config.num_frames) == (4, 8)


def test_what_is_no_pair_is_refused(processor):
    words = Message(role="user", parts=(TextPart(text="a circle"),))
    with pytest.raises(DataError, match="this conversation has 0 media"):
        processor([Conversation(messages=(words,))])
    shown = Message(role="user", parts=(picture(0),))
    with pytest.raises(DataError, match="the answer of a conversation, and this one has none"):
        processor([Conversation(messages=(shown,))])


@pytest.mark.parametrize("num_s", [5, 70])  # a file over a minute is read in stretches
def test_stretches_of_a_long_sound_are_drawn_from_the_seed_of_its_sample(num_s):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (num_s * 16_000, 1)).astype(np.float32)
    file = sound_file("flac", "flac", AudioClip(data=noise, sample_rate=16_000, start_s=0.0))
    sample = pair(AudioPart(source=file), "a noise")
    ears = PairProcessor(nano_languagebind_processor(Modality.AUDIO, nano_clip_tokenizer(scale=0.01)))
    ears = ears.with_settings(sound=SpectrogramConfig(num_mel_bins=28, target_length=100))
    heard = [ears([replace(sample, seed=seed)]).pixel_values for seed in (None, 1, 1, 2)]
    assert torch.equal(heard[0], ears([sample]).pixel_values)
    assert torch.equal(heard[1], heard[2])
    for one, other in ((0, 1), (1, 3)):
        assert not torch.allclose(heard[one], heard[other], atol=0.1)
