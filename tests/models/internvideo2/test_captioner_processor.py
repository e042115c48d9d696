import numpy as np
import pytest
from numbered_clips import encode, sound_file, tone
from small_captioner import NUM_QUERIES, small_captioner_processor

from kinema.errors import ConfigError, InputError, MediaError, OutOfBudgetError
from kinema.media.frames import AudioClip, FrameBatch
from kinema.models.internvideo2.captioner_processor import CaptionerProcessorConfig
from kinema.processors.beats_features import BEATsFeaturesConfig
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart, VideoPart


@pytest.fixture(scope="module")
def processor():
    return small_captioner_processor()


def talk(*parts):
    message = Message(role="user", parts=(*parts, TextPart(text="what is heard")))
    return Conversation(messages=(message,))


def frames():
    return FrameBatch(data=np.zeros((1, 8, 8, 3), np.uint8), pts_s=np.zeros(1), duration_s=1.0)


def test_every_window_has_as_many_placeholders_as_queries(processor):
    inputs = processor(talk(AudioPart(source=tone(2.6))), add_generation_prompt=True)
    assert inputs.visual.items[0].shape == (3, 98, 32)
    assert int(inputs.visual_mask.sum()) == inputs.visual.num_tokens == 3 * NUM_QUERIES


def test_the_prompt_tells_sound_from_what_is_seen(processor):
    prepared = processor.prepare(talk(AudioPart(source=tone(1.0))), add_generation_prompt=True)
    assert "<Audio>" in prepared.text
    assert prepared.text.endswith("</Audio>[/INST] [INST] what is heard [/INST]")


@pytest.mark.parametrize(
    ("container", "codec", "sample_rate", "num_channels"),
    [("wav", "pcm_s16le", 16_000, 1), ("mp4", "aac", 44_100, 2), ("flac", "flac", 48_000, 1)],
)
def test_a_video_is_heard_as_its_own_track_whatever_its_rate(
    processor, container, codec, sample_rate, num_channels
):
    file = sound_file(container, codec, tone(1.4, sample_rate=sample_rate, num_channels=num_channels))
    shown, heard = talk(VideoPart(source=file)), talk(AudioPart(source=file))
    assert processor.measure(shown) == processor.encode(shown).items == processor.measure(heard)
    assert processor.encode(shown).items[0].kind == "audio"
    assert (processor(shown).input_ids == processor(heard).input_ids).all()


def test_parts_of_files_are_heard_by_their_times(processor):
    part = VideoPart(source=sound_file(clip=tone(4.0)), start_s=1.0, end_s=3.0)
    (item,) = processor.measure(talk(part))
    assert item.times_s == (1.0, 2.0)


def test_longer_sound_is_heard_more_sparsely_and_a_budget_is_shared(processor):
    long, two = (
        talk(AudioPart(source=tone(9.0))),
        talk(AudioPart(source=tone(9.0)), AudioPart(source=tone(1.0))),
    )
    assert len(processor.encode(long).inputs.items[0]) == 6
    limited = processor.with_limits(max_tokens=4 * NUM_QUERIES)
    assert [len(item.times_s) for item in limited.measure(two)] == [2, 1]
    assert limited.encode(long).items[0].times_s[-1] == 8.0
    with pytest.raises(OutOfBudgetError, match="2 sounds give 10 tokens at least"):
        processor.with_limits(max_tokens=NUM_QUERIES).encode(two)


def test_silence_is_heard_as_silence(processor):
    silent = AudioClip(data=np.zeros((16_000, 1), np.float32), sample_rate=16_000, start_s=0.0)
    (bank,) = processor(talk(AudioPart(source=silent))).visual.items
    assert bank.unique().numel() == 1


@pytest.mark.parametrize(
    ("part", "error", "said"),
    [
        (VideoPart(source=encode("mp4", "libx264")), MediaError, "holds no sound"),
        (VideoPart(source=frames()), InputError, "frames have no sound"),
        (VideoPart(source=["a.png", "b.png"]), InputError, "frames have no sound"),
        (VideoPart(source="a.mp4", fps=2.0), InputError, "choose frames"),
        (ImagePart(source="a.png"), InputError, "hears and does not see"),
        (AudioPart(source=sound_file(clip=tone(0.01))), InputError, "too little to hear"),
    ],
)
def test_what_cannot_be_heard_is_refused(processor, part, error, said):
    for call in (processor.measure, processor.encode):
        with pytest.raises(error, match=said):
            call(talk(part))


@pytest.mark.parametrize(
    "changes", [{"max_windows": 0}, {"tokens_per_view": 0}, {"sound": BEATsFeaturesConfig(num_mel_bins=8)}]
)
def test_settings_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError):
        CaptionerProcessorConfig(**changes)
