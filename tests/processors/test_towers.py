import numpy as np
import pytest
import torch

from kinema.errors import InputError, OutOfBudgetError
from kinema.media.frames import AudioClip, FrameBatch
from kinema.processors.clip_pixels import CLIPPixelsConfig, image_pixels, video_pixels
from kinema.processors.messages import AudioPart, ImagePart, VideoFrame, VideoPart
from kinema.processors.read import ReadSettings
from kinema.processors.signals import SignalsConfig, read_depth, read_heat, read_sound
from kinema.processors.spectrogram import SpectrogramConfig
from kinema.processors.tower_inputs import TowerInputs, TowerItem
from kinema.processors.towers import TowerReader, TowerSight, fill_windows

PIXELS = CLIPPixelsConfig(size=56, image_fit="pad")
SIGHTS = {
    "image": TowerSight(size=(56, 56), patch_size=14),
    "video": TowerSight(size=(56, 56), patch_size=14, has_class_token=True, window=2),
}
SIGNALS = SignalsConfig(sound=SpectrogramConfig(num_mel_bins=28, target_length=70))
ALL_SIGHTS = SIGHTS | {
    "audio": TowerSight(size=(28, 70), patch_size=14),
    "depth": SIGHTS["image"],
    "thermal": SIGHTS["image"],
}


def frames(count) -> FrameBatch:
    data = np.random.default_rng(count).integers(0, 256, (count, 30, 40, 3), np.uint8)
    return FrameBatch(data=data, pts_s=np.arange(count) / 2, duration_s=count / 2)


def part(source):
    """Frames are a video, a number is a grey picture."""
    if isinstance(source, FrameBatch):
        return VideoPart(source=source)
    return ImagePart(source=np.full((20, 30, 3), source, np.uint8)) if isinstance(source, int) else source


def encode(*sources, sights=SIGHTS, max_tokens=None, frames_as_images=False):
    with TowerReader(ReadSettings(), sights, SIGNALS) as reader:
        for source in sources:
            reader.add(part(source))
        return reader.encode(pixels=PIXELS, frames_as_images=frames_as_images, max_tokens=max_tokens)


@pytest.mark.parametrize(
    ("num_frames", "window", "seen"),
    [
        (4, 4, [0, 1, 2, 3]),
        (8, 4, [0, 1, 2, 3, 4, 5, 6, 7]),
        (1, 4, [0, 0, 0, 0]),
        (3, 4, [0, 0, 1, 2]),
        (6, 4, [0, 1, 2, 3, 4, 4, 4, 5]),
        (3, None, [0, 1, 2]),
    ],
)
def test_the_last_window_is_filled_by_repeating_frames_evenly(num_frames, window, seen):
    assert fill_windows(num_frames, window) == seen


def test_pictures_are_padded_and_videos_cropped():
    visuals = encode(100, frames(2))
    image, video = visuals.inputs.items
    picture = np.full((20, 30, 3), 100, np.uint8)
    assert torch.equal(image.pixel_values[0], image_pixels(picture, PIXELS))
    assert torch.equal(video.pixel_values, video_pixels(frames(2).data, size=56))
    as_images = encode(frames(2), frames_as_images=True).inputs.items[0].pixel_values
    crop = CLIPPixelsConfig(size=56, image_fit="crop")
    assert torch.equal(as_images[0], image_pixels(frames(2).data[0], crop))


def test_times_and_tokens_of_repeated_frames_are_told():
    image, video = encode(100, frames(3)).items
    assert image.tokens_per_frame == (16,)
    assert video.times_s == (0.0, 0.5, 1.0, 1.0)
    assert video.tokens_per_frame == (17, 17, 17, 17)
    assert video.num_tokens == 68
    assert (video.frames_together, video.class_tokens) == (2, 1)


def test_what_is_measured_is_what_is_encoded():
    sources = (frames(3), 100, frames(8))
    for max_tokens in (None, 100):
        with TowerReader(ReadSettings(), SIGHTS, SIGNALS) as reader:
            for source in sources:
                reader.add(part(source))
            measured = reader.measure(max_tokens=max_tokens)
        assert measured == encode(*sources, max_tokens=max_tokens).items


@pytest.mark.parametrize(
    ("max_tokens", "merge_size", "total"), [(84, 1, 84), (83, 2, 24), (24, 2, 24), (23, 4, 9), (9, 4, 9)]
)
def test_patches_are_averaged_as_much_as_a_budget_needs(max_tokens, merge_size, total):
    visuals = encode(frames(4), 100, max_tokens=max_tokens)  # 4 · 17 and 16 tokens
    assert {item.merge_size for item in visuals.items} == {merge_size}
    assert visuals.inputs.num_tokens == total == sum(item.num_tokens for item in visuals.items)


def test_a_budget_that_cannot_be_kept_is_an_error():
    with pytest.raises(OutOfBudgetError, match="5 images and frames give 9 visual tokens at least"):
        encode(frames(4), 100, max_tokens=8)


def item(num_frames, **changes) -> TowerItem:
    return TowerItem(
        modality="video", pixel_values=torch.zeros(num_frames, 3, 28, 28), grid=(2, 2), **changes
    )


def test_inputs_are_joined_and_cut():
    one, two = TowerInputs(items=(item(1),)), TowerInputs(items=(item(1, has_class_token=True), item(2)))
    joined = TowerInputs.join([one, two])
    assert joined.num_tokens == 4 + 5 + 8
    cut = two.first_tokens(6)
    assert cut.num_tokens == 6
    assert TowerInputs.join([one, cut]).keep_mask.tolist() == [True] * 10 + [False] * 7
    assert two.first_tokens(0) is None


def test_what_is_seen_and_kept_can_be_looked_at():
    batch = frames(2)
    visuals = encode(batch, max_tokens=100)
    crop = visuals.inputs.frames(0)
    assert crop.shape == (2, 56, 56, 3)
    assert abs(int(crop.mean()) - int(batch.data.mean())) < 5
    assert visuals.inputs.kept(0).shape == (2, 4, 4)
    cut = TowerInputs(items=(item(1, has_class_token=True), item(1))).first_tokens(7)
    assert cut.kept(0).tolist() == [[[True, True], [True, True]]]
    assert cut.kept(1).tolist() == [[[True, True], [False, False]]]


def test_inputs_move_together():
    moved = TowerInputs(items=(item(1),)).first_tokens(3).to("cpu", torch.bfloat16)
    assert moved.items[0].pixel_values.dtype == torch.bfloat16
    assert moved.num_tokens == 3


def test_sound_depth_and_heat_stand_where_they_were_said():
    depth, heat = np.arange(900).reshape(30, 30), np.full((30, 40), 200, np.uint8)
    wave = np.sin(np.arange(16000, dtype=np.float32))[:, None]
    tone = AudioClip(data=wave, sample_rate=16000, start_s=0.0)
    parts = (
        AudioPart(source=tone),
        frames(2),
        ImagePart(source=heat, modality="thermal"),
        ImagePart(source=depth, modality="depth"),
    )
    visuals = encode(*parts, 100, sights=ALL_SIGHTS)
    assert [item.kind for item in visuals.items] == ["audio", "video", "thermal", "depth", "image"]
    assert [item.num_tokens for item in visuals.items] == [2 * 5, 2 * 17, 16, 16, 16]
    sound, _, thermal, metres, _ = visuals.inputs.items
    crop = CLIPPixelsConfig(size=56)
    assert torch.equal(sound.pixel_values, read_sound(tone, SIGNALS.sound))
    assert torch.equal(thermal.pixel_values, read_heat(heat, crop))
    assert torch.equal(metres.pixel_values, read_depth(depth, crop, max_depth_m=10.0))


def test_what_has_no_tower_is_refused():
    with pytest.raises(InputError, match="no tower for audio; it takes text and image, video"):
        encode(AudioPart(source="x.wav"))
    frame = ImagePart(source=VideoFrame(source="x.mp4", pts_s=0.0), modality="depth")
    with pytest.raises(InputError, match="a frame of a video shows no depth"):
        encode(frame, sights=ALL_SIGHTS)
