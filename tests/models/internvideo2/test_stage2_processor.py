from io import BytesIO

import numpy as np
import pytest
import torch
from bert_vocabulary import small_tokenizer
from numbered_clips import encode, sound_file, tone

from kinema.errors import InputError, MediaError, ModelWarning
from kinema.media.frames import AudioClip
from kinema.models.internvideo2.stage2_processor import Stage2Processor, Stage2ProcessorConfig
from kinema.processors.beats_features import BEATsFeaturesConfig
from kinema.processors.bert_text import BertTokenizer


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    tokenizer = BertTokenizer(small_tokenizer(tmp_path_factory.mktemp("vocabulary")))
    return Stage2Processor(tokenizer, Stage2ProcessorConfig(modality="audio", size=28))


def sound(samples, sample_rate=16_000):
    data = np.asarray(samples, np.float32)
    return AudioClip(data=data[:, None] if data.ndim == 1 else data, sample_rate=sample_rate, start_s=0.0)


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("num_channels", [1, 2])
def test_sound_of_any_rate_and_one_channel_or_two_is_heard_alike(processor, sample_rate, num_channels):
    heard = processor.pixels(tone(sample_rate=sample_rate, num_channels=num_channels))
    reference = processor.pixels(tone())
    assert heard.shape == (998, 64)
    peaks = heard[40:60].argmax(1)  # the loudest of the bins while it sounds
    assert torch.equal(peaks, reference[40:60].argmax(1))
    assert not heard[100:].any()


def test_the_sound_of_a_file_is_that_of_its_samples(processor):
    noise = np.random.default_rng(0).standard_normal((16_000, 2)).clip(-3, 3) / 4
    of_file = processor.pixels(BytesIO(sound_file(clip=sound(noise))))
    torch.testing.assert_close(of_file, processor.pixels(sound(noise)), atol=0.01, rtol=0)


def test_of_sound_over_ten_seconds_the_middle_is_heard(processor):
    samples = np.random.default_rng(0).standard_normal(12 * 16_000) / 10
    middle = processor.pixels(sound(samples[16_000:-16_000]))
    assert torch.equal(processor.pixels(sound(samples)), middle)


def test_silence_is_heard_as_silence(processor):
    silence = processor.pixels(sound(np.zeros(160_000)))
    torch.testing.assert_close(silence, torch.full((998, 64), -2.39172), atol=1e-4, rtol=0)


def test_a_video_without_a_sound_track_is_refused(processor):
    with pytest.raises(MediaError, match="holds no sound"):
        processor.pixels(encode("mp4", "libx264", count=2))


@pytest.mark.parametrize(
    ("clip", "said"),
    [
        (sound(np.zeros(0)), "neither of them 0"),
        (sound(np.zeros((16_000, 0))), "neither of them 0"),
        (sound(np.zeros(399)), "at least 400 samples"),
        (sound(np.full(16_000, np.nan)), "no numbers"),
        (sound(np.full(16_000, np.inf)), "no numbers"),
        (sound(np.zeros(16_000), sample_rate=0), "sample rate must be at least 1"),
    ],
)
def test_sound_that_cannot_be_heard_is_refused(processor, clip, said):
    with pytest.raises(InputError, match=said):
        processor.pixels(clip)


@pytest.mark.parametrize("texts", [[], "a dog", [1], [None, "a dog"]])
def test_what_is_no_list_of_texts_is_refused(processor, texts):
    with pytest.raises(InputError, match="must be a"):
        processor.texts(texts)


def test_a_long_text_loses_its_end_and_says_so(processor):
    with pytest.warns(ModelWarning, match="over 30 tokens"):
        ids = processor.texts(["dog " * 100]).input_ids
    assert ids.shape == (1, 32)
    assert ids[0, -1] == processor.tokenizer.end_id


def test_windows_of_the_filter_bank_are_a_setting(processor):
    shorter = processor.with_settings(sound=BEATsFeaturesConfig(num_samples=16_000, num_mel_bins=128))
    assert shorter.pixels(tone(seconds=3.0)).shape == (98, 128)
