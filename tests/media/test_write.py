import io
from fractions import Fraction

import av
import numpy as np
import pytest

from kinema.errors import InputError, MediaError
from kinema.media.frames import AudioClip
from kinema.media.probe import probe
from kinema.media.write import write_video


def flat_frames(count, height=32, width=48):
    """Frame i is one grey of level 8 i."""
    return (np.full((height, width, 3), 8 * index, np.uint8) for index in range(count))


def tone(seconds=1.0, start_s=0.0, sample_rate=16_000):
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    wave = 0.5 * np.sin(2 * np.pi * 440 * times)
    return AudioClip(data=wave.astype(np.float32)[:, None], sample_rate=sample_rate, start_s=start_s)


def decode(source):
    with av.open(source) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("clip.mp4", "h264"), ("clip.mkv", "h264"), ("clip.webm", "vp9"), ("clip.gif", "gif")],
)
def test_the_name_chooses_container_and_codec(tmp_path, name, codec):
    path = tmp_path / name
    write_video(path, flat_frames(10), fps=5)
    with av.open(path) as container:
        assert container.streams.video[0].codec_context.name == codec
    frames = decode(path)
    assert [time for time, _ in frames] == pytest.approx([index / 5 for index in range(10)], abs=0.001)
    for index, (_, frame) in enumerate(frames):
        assert frame.shape == (32, 48, 3)
        np.testing.assert_allclose(frame, 8 * index, atol=3)


def test_a_fragmented_mp4_states_no_frame_count_and_keeps_its_times():
    file = io.BytesIO()
    write_video(file, flat_frames(10), fps=5, container="fragmented_mp4")
    assert b"moof" in file.getvalue()
    file.seek(0)
    assert [time for time, _ in decode(file)] == pytest.approx([index / 5 for index in range(10)])


def test_given_times_are_the_times_in_the_file(tmp_path):
    times_s = [1.0, 1.1, 1.5, 3.0]
    for name in ("clip.mp4", "clip.mkv"):
        write_video(tmp_path / name, flat_frames(4), fps=10, times_s=times_s)
        assert [time for time, _ in decode(tmp_path / name)] == pytest.approx(times_s, abs=0.001)


def test_odd_sizes_are_made_even_by_repeating_the_edge(tmp_path):
    frame = np.zeros((31, 47, 3), np.uint8)
    frame[-1] = 200
    write_video(tmp_path / "clip.mp4", [frame], fps=1)
    [(_, stored)] = decode(tmp_path / "clip.mp4")
    assert stored.shape == (32, 48, 3)
    np.testing.assert_allclose(stored[-1], 200, atol=6)


def test_yuv444_keeps_an_odd_size(tmp_path):
    write_video(tmp_path / "clip.mp4", flat_frames(2, 31, 47), fps=1, pixel_format="yuv444p")
    assert decode(tmp_path / "clip.mp4")[0][1].shape == (31, 47, 3)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm"])
def test_the_same_input_gives_the_same_bytes(tmp_path, name):
    contents = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_video(tmp_path / folder / name, flat_frames(8), fps=8, audio=tone())
        contents.append((tmp_path / folder / name).read_bytes())
    assert contents[0] == contents[1]


def test_sound_is_written_beside_the_frames(tmp_path):
    write_video(tmp_path / "clip.mp4", flat_frames(10), fps=5, audio=tone(2.0))
    with av.open(tmp_path / "clip.mp4") as container:
        assert container.streams.audio[0].rate == 16_000
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples == pytest.approx(32_000, abs=2_048)


def test_a_rotation_is_stated_to_the_player(tmp_path):
    write_video(tmp_path / "clip.mp4", flat_frames(2), fps=5, rotation=90)
    with av.open(tmp_path / "clip.mp4") as container:
        assert next(container.decode(video=0)).rotation == 90


def test_a_fractional_rate_is_kept_exactly(tmp_path):
    write_video(tmp_path / "clip.mp4", flat_frames(3), fps=Fraction(30_000, 1001))
    with av.open(tmp_path / "clip.mp4") as container:
        assert container.streams.video[0].average_rate == Fraction(30_000, 1001)


def test_a_failure_leaves_no_file(tmp_path):
    def breaking():
        yield np.zeros((32, 48, 3), np.uint8)
        raise RuntimeError("the drawing failed")

    with pytest.raises(RuntimeError, match="the drawing failed"):
        write_video(tmp_path / "clip.mp4", breaking(), fps=5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": []}, "at least one"),
        ({"frames": [np.zeros((4, 4), np.uint8)]}, r"must be uint8 \(H, W, 3\)"),
        ({"frames": [np.zeros((4, 4, 3), np.uint8), np.zeros((6, 4, 3), np.uint8)]}, "use one size"),
        ({"fps": 0}, "above 0"),
        ({"times_s": [0.0, 0.0]}, "must increase"),
        ({"times_s": [0.0]}, "there are more frames"),
        ({"times_s": [0.0, 1.0, 2.0]}, "3 times for 2 frames"),
        ({"target": "clip.xyz"}, "the kinds are mp4"),
        ({"target": "clip.gif", "audio": tone()}, "holds no sound"),
        ({"target": io.BytesIO()}, "pass container"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(tmp_path, arguments, message):
    wanted = {"target": "clip.mp4", "frames": flat_frames(2), "fps": 5} | arguments
    if isinstance(wanted["target"], str):
        wanted["target"] = tmp_path / wanted["target"]
    with pytest.raises(InputError, match=message):
        write_video(wanted.pop("target"), wanted.pop("frames"), **wanted)


@pytest.mark.parametrize("codec", ["libx264", "no_such_codec"])
def test_a_codec_the_container_cannot_hold_is_refused_by_name(tmp_path, codec):
    with pytest.raises(InputError, match=codec):
        write_video(tmp_path / "clip.webm", flat_frames(2), fps=5, codec=codec)


def test_what_the_encoder_refuses_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(MediaError, match=r"clip\.mp4: cannot be written"):
        write_video(
            tmp_path / "clip.mp4", flat_frames(2), fps=5, codec_options={"profile": "baseline", "crf": "0"}
        )


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm"])
def test_a_comment_is_read_back(tmp_path, name):
    write_video(tmp_path / name, flat_frames(2), fps=5, comment="kinema toybox, seed 7")
    assert probe(tmp_path / name).comment == "kinema toybox, seed 7"
    write_video(tmp_path / name, flat_frames(2), fps=5)
    assert probe(tmp_path / name).comment is None
