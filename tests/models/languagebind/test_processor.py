import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from clip_vocabulary import small_tokenizer
from numbered_clips import encode, numbered_frames, sound_file, tone
from PIL import Image

from kinema.errors import ConfigError, InputError, MediaError
from kinema.media.frames import AudioClip, FrameBatch
from kinema.media.write import write_video
from kinema.models.languagebind.config import Modality
from kinema.models.languagebind.processor import LanguageBindProcessor, LanguageBindProcessorConfig
from kinema.processors.clip_pixels import MEAN, STD, CLIPPixelsConfig
from kinema.processors.clip_text import CLIPTokenizer
from kinema.processors.spectrogram import SpectrogramConfig


@pytest.fixture(scope="module")
def processor_for(tmp_path_factory):
    tokenizer = CLIPTokenizer(small_tokenizer(tmp_path_factory.mktemp("vocabulary")))

    def make(modality, **settings):
        config = LanguageBindProcessorConfig(
            modality=modality,
            pixels=CLIPPixelsConfig(size=28),
            sound=SpectrogramConfig(num_mel_bins=28, target_length=42),
        )
        return LanguageBindProcessor(tokenizer, config).with_settings(**settings)

    return make


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def levels(pixel_values):
    """The grey of each frame, 0 to 255."""
    unit = pixel_values * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    return [round(float(frame.mean()) * 255) for frame in unit]


def test_a_picture_comes_from_a_file_or_from_pixels(processor_for):
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    processor = processor_for(Modality.IMAGE)
    pixels = processor.pixels(picture)
    assert pixels.shape == (1, 3, 28, 28)
    assert torch.equal(processor.pixels(png(picture)), pixels)


def test_of_a_video_file_the_first_and_the_last_of_the_frames_are_seen(processor_for):
    pixels = processor_for(Modality.VIDEO).pixels(encode("mp4", "libx264", count=22))
    assert pixels.shape == (8, 3, 28, 28)
    assert levels(pixels) == pytest.approx([8 * index for index in (0, 3, 6, 9, 12, 15, 18, 21)], abs=2)


def test_a_clip_of_three_frames_repeats_them(processor_for):
    pixels = processor_for(Modality.VIDEO).pixels(encode("mp4", "libx264", count=3))
    assert levels(pixels) == pytest.approx([0, 0, 0, 0, 8, 8, 8, 16], abs=2)


def test_another_number_of_frames_and_another_rule_can_be_asked_for(processor_for):
    clip = encode("mp4", "libx264", count=16)
    processor = processor_for(Modality.VIDEO, num_frames=4, sampling="video_llava_transformers")
    assert levels(processor.pixels(clip)) == pytest.approx([0, 32, 64, 96], abs=2)


def test_decoded_frames_are_all_taken(processor_for):
    frames = np.stack(list(numbered_frames(3)))
    processor = processor_for(Modality.VIDEO)
    batch = FrameBatch(data=frames, pts_s=np.arange(3.0), duration_s=3.0)
    assert levels(processor.pixels(batch)) == [0, 8, 16]
    assert torch.equal(processor.pixels(frames), processor.pixels(batch))


def test_sound_is_heard_in_a_sound_file_a_clip_and_the_track_of_a_video(processor_for, tmp_path):
    processor = processor_for(Modality.AUDIO)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (4800, 1)).astype(np.float32)
    sound = AudioClip(data=noise, sample_rate=16_000, start_s=0.0)
    pixels = processor.pixels(sound)
    assert pixels.shape == (1, 3, 28, 42)
    torch.testing.assert_close(processor.pixels(sound_file(clip=sound)), pixels, atol=1e-3, rtol=0)
    video = tmp_path / "clip.mp4"
    write_video(video, numbered_frames(10), fps=10, audio=tone(1.0))
    assert processor.pixels(video).shape == (1, 3, 28, 42)


def test_sound_of_another_rate_is_resampled(processor_for):
    processor = processor_for(Modality.AUDIO)
    loudest = [
        processor.pixels(tone(0.5, sample_rate=rate))[0, 0].mean(1).argmax()
        for rate in (16_000, 22_050, 48_000)
    ]
    assert len({int(index) for index in loudest}) == 1


@pytest.mark.parametrize("variant", ["languagebind", "video_llava_copy"])
def test_of_a_long_file_only_three_stretches_are_read_and_they_are_those_of_the_whole(processor_for, variant):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (70 * 16_000, 1)).astype(np.float32)
    sound = AudioClip(data=noise, sample_rate=16_000, start_s=0.0)
    file = sound_file("flac", "flac", sound)
    processor = processor_for(Modality.AUDIO)
    processor = processor.with_settings(sound=replace(processor.config.sound, variant=variant))
    torch.testing.assert_close(processor.pixels(file), processor.pixels(sound), atol=1e-3, rtol=0)
    beginning = AudioClip(data=noise[: 10 * 16_000], sample_rate=16_000, start_s=0.0)
    assert not torch.allclose(processor.pixels(beginning), processor.pixels(sound), atol=0.1)


def test_of_stereo_sound_the_left_channel_is_heard(processor_for):
    left = tone(0.5).data
    silence = np.zeros_like(left)
    heard = [
        processor_for(Modality.AUDIO).pixels(
            AudioClip(data=np.concatenate(channels, axis=1), sample_rate=16_000, start_s=0.0)
        )
        for channels in ((left,), (left, silence), (silence, left))
    ]
    torch.testing.assert_close(heard[0], heard[1], atol=0.02, rtol=0)
    assert heard[2].max() < heard[0].max() - 0.5


def test_a_video_without_a_sound_track_is_named(processor_for, tmp_path):
    video = tmp_path / "silent.mp4"
    video.write_bytes(encode("mp4", "libx264"))
    with pytest.raises(MediaError, match=r"silent\.mp4: holds no sound"):
        processor_for(Modality.AUDIO).pixels(video)


def test_a_depth_map_comes_from_a_16_bit_file_or_from_millimetres(processor_for):
    millimetres = np.linspace(0, 12_000, 40 * 30).reshape(40, 30).astype(np.uint16)
    processor = processor_for(Modality.DEPTH)
    pixels = processor.pixels(millimetres)
    assert pixels.shape == (1, 3, 28, 28)
    assert torch.equal(processor.pixels(png(millimetres)), pixels)
    assert not torch.equal(processor_for(Modality.DEPTH, max_depth_m=0).pixels(millimetres), pixels)


def test_an_8_bit_picture_given_as_a_depth_map_is_refused(processor_for):
    grey = np.zeros((30, 40), np.uint8)
    with pytest.raises(MediaError, match="grey image of 16 bits"):
        processor_for(Modality.DEPTH).pixels(png(grey))
    with pytest.raises(InputError, match="16 bits or more"):
        processor_for(Modality.DEPTH).pixels(grey)


def test_a_heat_map_of_one_channel_is_seen_as_three_equal_ones(processor_for):
    grey = np.random.default_rng(0).integers(0, 256, (30, 40), np.uint8)
    processor = processor_for(Modality.THERMAL)
    pixels = processor.pixels(grey)
    assert torch.equal(processor.pixels(np.repeat(grey[:, :, None], 3, axis=2)), pixels)
    assert torch.equal(processor.pixels(png(grey)), pixels)


FRAMES = FrameBatch(data=np.zeros((1, 4, 4, 3), np.uint8), pts_s=np.zeros(1), duration_s=1.0)


@pytest.mark.parametrize(
    ("modality", "media", "said"),
    [
        (Modality.IMAGE, FRAMES, "takes an image"),
        (Modality.IMAGE, ["a.png", "b.png"], "takes an image"),
        (Modality.AUDIO, np.zeros(16_000, np.float32), "AudioClip, which says its rate"),
        (Modality.VIDEO, tone(0.1), "takes frames, got sound"),
        (Modality.VIDEO, np.zeros((0, 4, 4, 3), np.uint8), "at least one frame"),
        (Modality.VIDEO, np.zeros((4, 4, 3), np.uint8), "got uint8 (4, 4, 3); a single picture is an image"),
        (Modality.THERMAL, np.zeros((4, 4, 2), np.uint8), "must be uint8 (H, W, 3)"),
        (Modality.DEPTH, np.zeros((4, 4, 3), np.uint16), "must be (H, W)"),
    ],
)
def test_media_of_another_kind_are_refused(processor_for, modality, media, said):
    with pytest.raises(InputError, match=re.escape(said)):
        processor_for(modality).pixels(media)


@pytest.mark.parametrize(("setting", "value"), [("num_frames", 0), ("sampling", "often")])
def test_settings_that_cannot_work_are_refused(processor_for, setting, value):
    with pytest.raises(ConfigError, match=str(value)):
        processor_for(Modality.VIDEO, **{setting: value})
