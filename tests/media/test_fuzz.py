"""Hundreds of damaged files: each gives valid frames or a MediaError, quickly, and the process lives."""

import io
import time
import warnings

import numpy as np
import pytest
from numbered_clips import HEVC_CLIP, encode, numbered_frames, sound_file, tone
from PIL import Image

from kinema.errors import MediaError, MediaWarning
from kinema.media.audio import read_audio
from kinema.media.image import read_image
from kinema.media.video import open_video
from kinema.media.write import write_video

NUM_CASES = 60
"""Damaged files made from each original."""
LONGEST_S = 5.0
"""Most time one file may take."""


def written(container, **settings):
    file = io.BytesIO()
    write_video(file, numbered_frames(12), fps=6, container=container, **settings)
    return file.getvalue()


ORIGINALS = {
    "mp4": lambda: written("mp4", audio=tone(2.0)),
    "fragmented_mp4": lambda: written("fragmented_mp4", audio=tone(2.0)),
    "mkv": lambda: written("mkv", audio=tone(2.0), codec_options={"g": "4"}),
    "webm": lambda: written("webm", audio=tone(2.0)),
    "gif": lambda: written("gif"),
    "mpegts": lambda: encode("mpegts", "libx264", count=12, options={"g": "4"}),
    "avi": lambda: encode("avi", "mpeg4", count=12),
    "mov": lambda: encode("mov", "mjpeg", count=12, pixel_format="yuvj420p"),
    "hevc": HEVC_CLIP.read_bytes,
}


def damaged(data, random):
    """One way a file goes bad: cut off, bits flipped, a hole, a piece twice, pieces swapped, or no head."""
    kind = random.integers(6)
    at, end = sorted(random.integers(1, len(data), 2).tolist())
    if kind == 0:
        return data[:at]
    if kind == 1:
        bits = bytearray(data)
        for position in random.integers(0, len(data), random.integers(1, 40)):
            bits[position] ^= 1 << random.integers(8)
        return bytes(bits)
    if kind == 2:
        return data[:at] + bytes(end - at) + data[end:]
    if kind == 3:
        return data[:end] + data[at:]
    if kind == 4:
        return data[at:end] + data[:at] + data[end:]
    return data[random.integers(1, 64) :]


def read_everything(data):
    """Read a file in the ways users do; returns the error, or None where it gave frames."""
    try:
        with open_video(data) as video:
            batches = [video.read(fps=3), video.read(sampling="keyframes")]
            ends = video.frames_at([video.timeline.end_s, video.timeline.start_s])
    except MediaError as error:
        return str(error)
    for batch in [*batches, ends]:
        assert len(batch) >= 1
        assert np.isfinite(batch.pts_s).all()
        assert np.isfinite(batch.duration_s)
    assert all((np.diff(batch.pts_s) > 0).all() for batch in batches)
    return None


def assert_survives(data):
    started = time.monotonic()
    error = read_everything(data)
    assert error is None or error.startswith(f"<{len(data)} bytes>: ")
    assert time.monotonic() - started < LONGEST_S


@pytest.mark.parametrize("name", list(ORIGINALS))
@pytest.mark.filterwarnings("ignore::kinema.errors.MediaWarning")
def test_a_damaged_file_gives_valid_frames_or_a_media_error(name):
    original = ORIGINALS[name]()
    assert read_everything(original) is None
    random = np.random.default_rng(len(original))
    for _ in range(NUM_CASES):
        assert_survives(damaged(original, random))


@pytest.mark.filterwarnings("ignore::kinema.errors.MediaWarning")
def test_a_damaged_real_clip_gives_valid_frames_or_a_media_error(media_dir):
    random = np.random.default_rng(0)
    for path in sorted(media_dir.glob("*.mp4")):
        original = path.read_bytes()
        for _ in range(6):
            assert_survives(damaged(original, random))


SOUNDS = {
    "wav": lambda: sound_file("wav", "pcm_s16le", clip=tone(0.5)),
    "mp3": lambda: sound_file("mp3", "libmp3lame", clip=tone(0.5, sample_rate=48_000)),
    "ogg": lambda: sound_file("ogg", "libopus", clip=tone(0.5, sample_rate=48_000)),
    "flac": lambda: sound_file("flac", "flac", clip=tone(0.5)),
    "mp4": ORIGINALS["mp4"],
    "fragmented_mp4": ORIGINALS["fragmented_mp4"],
    "mkv": ORIGINALS["mkv"],
}


@pytest.mark.parametrize("name", list(SOUNDS))
@pytest.mark.filterwarnings("ignore::kinema.errors.MediaWarning")
def test_damaged_sound_gives_samples_or_a_media_error(name):
    original = SOUNDS[name]()
    random = np.random.default_rng(1)
    for _ in range(NUM_CASES):
        started = time.monotonic()
        try:
            clip = read_audio(damaged(original, random))
        except MediaError:
            continue
        assert np.isfinite(clip.data).all()
        assert np.abs(clip.data).max() <= 1
        assert time.monotonic() - started < LONGEST_S


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_damaged_image_gives_pixels_or_a_media_error(kind):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(2).integers(0, 255, (24, 24, 3), np.uint8)).save(file, kind)
    random = np.random.default_rng(3)
    for _ in range(NUM_CASES):
        try:
            picture = read_image(damaged(file.getvalue(), random))
        except MediaError:
            continue
        assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)


@pytest.mark.parametrize("name", list(ORIGINALS))
def test_the_name_of_a_file_does_not_matter(tmp_path, name):
    for suffix in (".mp4", ".txt", ".jpg", ".wav"):
        path = tmp_path / f"mislabelled{suffix}"
        path.write_bytes(ORIGINALS[name]())
        with warnings.catch_warnings():
            warnings.simplefilter("error", MediaWarning)
            with open_video(path) as video:
                assert len(video.read(fps=1)) >= 1
