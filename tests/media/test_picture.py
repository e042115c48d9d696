import io
from fractions import Fraction

import av
import numpy as np
import pytest

from kinema.errors import InputError
from kinema.media.picture import Orientation, apply_size, at_most, shown_size
from kinema.media.video import open_video

CORNERS = np.arange(4, dtype=np.uint8).reshape(2, 2, 1).repeat(3, axis=2)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (Orientation(), [[0, 1], [2, 3]]),
        (Orientation(flip_rows=True), [[2, 3], [0, 1]]),
        (Orientation(flip_columns=True), [[1, 0], [3, 2]]),
        (Orientation(transpose=True, flip_rows=True), [[1, 3], [0, 2]]),
        (Orientation(transpose=True, flip_columns=True), [[2, 0], [3, 1]]),
    ],
)
def test_a_picture_is_turned_upright(orientation, upright):
    assert orientation.apply(CORNERS)[..., 0].tolist() == upright


@pytest.mark.parametrize("axis", ["hflip", "vflip"])
def test_a_mirrored_display_matrix_is_no_rotation(axis):
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:16, 24:] = 240
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=5)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        stream.set_display_rotation(0, **{axis: True})
        output.mux(stream.encode(av.VideoFrame.from_ndarray(stored)))
        output.mux(stream.encode(None))
    with open_video(file.getvalue()) as video:
        frame = video.read().data[0]
    expected = stored[:, ::-1] if axis == "hflip" else stored[::-1]
    np.testing.assert_allclose(frame.astype(int), expected, atol=30)


def stretched(pixel_aspect: Fraction, *, rotation: int = 0) -> bytes:
    """A file of one frame, stored as 32 x 48, white left of its middle."""
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:, :24] = 240
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=5)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = pixel_aspect
        stream.set_display_rotation(rotation)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(stored)))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("pixel_aspect", "rotation", "shown"),
    [
        (Fraction(1), 0, (32, 48)),
        (Fraction(4, 3), 0, (32, 64)),
        (Fraction(1, 2), 0, (64, 48)),
        (Fraction(4, 3), 90, (64, 32)),
    ],
)
def test_pixels_that_are_not_square_are_stretched_as_a_player_does(pixel_aspect, rotation, shown):
    with open_video(stretched(pixel_aspect, rotation=rotation)) as video:
        frame = video.read().data[0]
        info = video.info
    assert frame.shape[:2] == (info.height, info.width) == shown
    assert info.pixel_aspect == pytest.approx(float(pixel_aspect))
    bright, dark = (frame[:, : shown[1] // 2 - 4], frame[:, shown[1] // 2 + 4 :])
    if rotation == 90:  # counter-clockwise: what was left is below
        bright, dark = frame[shown[0] // 2 + 4 :], frame[: shown[0] // 2 - 4]
    assert bright.min() > 210
    assert dark.max() < 30


def test_a_size_rule_sees_the_size_that_is_shown():
    with open_video(stretched(Fraction(2))) as video:
        assert video.read(size=lambda height, width: (height // 2, width // 2)).data.shape == (1, 16, 48, 3)


def test_the_shorter_side_of_a_pixel_is_stretched():
    assert shown_size(576, 720, Fraction(16, 15)) == (576, 768)
    assert shown_size(480, 720, Fraction(8, 9)) == (540, 720)
    assert shown_size(480, 640, Fraction(1)) == (480, 640)


def test_at_most_keeps_the_shape_and_enlarges_nothing():
    assert at_most(100)(20, 20) == (10, 10)
    assert at_most(10_000)(20, 20) == (20, 20)
    assert at_most(1)(2, 2_000) == (1, 31)


def test_sizes_that_cannot_work_are_refused():
    with pytest.raises(InputError, match="max_pixels must be at least 1"):
        at_most(0)
    with pytest.raises(InputError, match=r"at least 1 x 1, got \(0, 5\)"):
        apply_size((0, 5), 10, 10)
