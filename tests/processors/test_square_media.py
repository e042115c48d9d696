from io import BytesIO

import numpy as np
import pytest
import torch
from numbered_clips import encode, numbered_frames, sound_file, tone
from PIL import Image

from kinema.errors import ConfigError, InputError, MediaError
from kinema.media.frames import FrameBatch
from kinema.processors.square_media import FrameSize, read_square_clip, read_square_image

SIZE = FrameSize(size=28)
GREY = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)


def clip(media, **changes):
    settings = {"frame_size": SIZE, "num_frames": 4, "sampling": "internvideo2_middle"}
    return read_square_clip(media, **(settings | changes))


@pytest.mark.parametrize(("count", "expected"), [(1, [0, 0, 0, 0]), (3, [0, 1, 2, 2])])
def test_of_a_clip_with_fewer_frames_than_are_read_the_last_is_repeated(count, expected):
    pixels = clip(encode("mp4", "libx264", count=count))
    frames = clip(np.stack(list(numbered_frames(count))))  # decoded frames are all taken, each once
    assert pixels.shape == (4, 3, 28, 28)
    assert len(frames) == count
    torch.testing.assert_close(pixels, frames[expected], atol=0.05, rtol=0)


def grey_file(mode):
    file = BytesIO()
    picture = Image.fromarray(GREY.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(GREY)
    (picture if mode == "I;16" else picture.convert(mode)).save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "P", "RGBA"])
def test_a_grey_file_of_any_form_is_seen_as_the_same_grey(mode):
    expected = read_square_image(np.repeat(GREY[:, :, None], 3, axis=2), frame_size=SIZE)
    assert torch.equal(read_square_image(grey_file(mode), frame_size=SIZE), expected)
    assert torch.equal(read_square_image(GREY, frame_size=SIZE), expected)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((2, 8, 8, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(InputError, match="a picture must be uint8"):
        read_square_image(picture, frame_size=SIZE)


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8), (2, 8, 8)])
def test_a_picture_is_not_taken_for_a_clip_of_grey_rows(shape):
    with pytest.raises(InputError, match="a decoded clip must be uint8 RGB"):
        clip(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    "media",
    [
        np.zeros((0, 8, 8, 3), np.uint8),
        FrameBatch(data=np.zeros((0, 8, 8, 3), np.uint8), pts_s=np.zeros(0), duration_s=0.0),
    ],
)
def test_a_clip_without_a_frame_is_refused(media):
    with pytest.raises(InputError, match="at least one"):
        clip(media)


def test_media_of_another_kind_are_refused():
    with pytest.raises(InputError, match="takes frames, got sound"):
        clip(tone())
    with pytest.raises(InputError, match="takes an image"):
        read_square_image(tone(), frame_size=SIZE)
    with pytest.raises(MediaError, match="holds no video"):
        clip(sound_file())
    with pytest.raises(MediaError, match="not an image"):
        read_square_image(encode("mp4", "libx264", count=1), frame_size=SIZE)


def test_frames_of_their_own_size_keep_their_shape():
    native = FrameSize(size=None, keeps_shape=True)
    assert clip(np.zeros((1, 5, 9, 3), np.uint8), frame_size=native).shape == (1, 3, 14, 14)
    with pytest.raises(ConfigError, match="keep their shape"):
        FrameSize(size=None)
    with pytest.raises(ConfigError, match="at least 1 pixel"):
        FrameSize(size=0)
