import numpy as np
import pytest
from PIL import Image

from kinema.errors import ConfigError, InputError
from kinema.media.frames import FrameBatch
from kinema.media.write import write_video
from kinema.processors.messages import ImagePart, VideoFrame, VideoPart
from kinema.processors.read import MediaReader, ReadSettings

TRUE_TIMES = ReadSettings(sampling="fps")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Four seconds at 10 frames a second; the grey level of frame i is 5 i."""
    path = tmp_path_factory.mktemp("read") / "clip.mp4"
    write_video(path, (np.full((32, 48, 3), 5 * i, np.uint8) for i in range(40)), fps=10, crf=1)
    return str(path)


def read(parts, settings=TRUE_TIMES):
    """Times and grey levels of each part's frames, and what was planned for it."""
    with MediaReader(settings) as reader:
        for part in parts:
            reader.add_video(part) if isinstance(part, VideoPart) else reader.add_image(part)
        got = [([], []) for _ in parts]
        for frame in reader.frames():
            got[frame.clip][0].append(frame.time_s)
            got[frame.clip][1].append(frame.pixels.mean())
    return got, reader.clips


def test_a_clip_gives_the_frames_that_were_planned_for_it(clip):
    [(times, levels)], [planned] = read([VideoPart(source=clip)])
    assert times == [0.0, 1.0, 2.0, 3.0]
    assert planned.times_s == tuple(times)
    assert (planned.height, planned.width, planned.name) == (32, 48, clip)
    np.testing.assert_allclose(levels, [0, 50, 100, 150], atol=3)


def test_a_part_says_how_it_is_read(clip):
    [(times, _)], _ = read([VideoPart(source=clip, fps=2.0, start_s=1.0, end_s=2.0)])
    assert times == [1.0, 1.5]
    [(times, _)], _ = read([VideoPart(source=clip, max_frames=2)])
    assert times == [0.0, 2.0]


def test_the_default_shows_what_the_released_weights_were_trained_on(clip):
    [(times, levels)], _ = read([VideoPart(source=clip)], ReadSettings())
    assert times == [0.0, 1.0, 2.0, 3.0]
    np.testing.assert_allclose(levels, [45, 95, 145, 195], atol=3)  # the last frame of each second


def test_ranges_of_one_file_are_each_given_their_own_frames(clip):
    parts = [
        VideoPart(source=clip, start_s=2.0, end_s=4.0),
        VideoPart(source=clip, start_s=1.0, end_s=3.0),
        VideoPart(source=clip, start_s=1.0, end_s=2.0, fps=2.0),
    ]
    got, _ = read(parts)
    assert [times for times, _ in got] == [[2.0, 3.0], [1.0, 2.0], [1.0, 1.5]]
    np.testing.assert_allclose([levels[0] for _, levels in got], [100, 50, 50], atol=3)


def test_images_are_read_from_files_and_arrays(tmp_path):
    Image.new("RGB", (8, 4), (9, 9, 9)).save(tmp_path / "a.png")
    parts = [ImagePart(source=tmp_path / "a.png"), ImagePart(source=np.full((4, 8, 3), 7, np.uint8))]
    got, clips = read(parts)
    assert [levels for _, levels in got] == [[9], [7]]
    assert [clip.name for clip in clips] == [str(tmp_path / "a.png"), "<pixels>"]


def test_an_unknown_time_of_decoded_frames_stays_unknown():
    batch = FrameBatch(data=np.zeros((2, 4, 4, 3), np.uint8), pts_s=np.array([np.nan, 1.0]), duration_s=2.0)
    _, [planned] = read([VideoPart(source=batch)])
    assert planned.times_s == (None, 1.0)


def test_a_time_without_decoded_frames_is_refused():
    batch = FrameBatch(data=np.zeros((1, 4, 4, 3), np.uint8), pts_s=np.array([1.0]), duration_s=2.0)
    with pytest.raises(InputError, match="none of the 1 frames lies between"):
        read([VideoPart(source=batch, start_s=1.5)])


def test_a_time_after_the_end_is_refused_before_anything_is_decoded(clip):
    with MediaReader(TRUE_TIMES) as reader, pytest.raises(InputError, match=r"ends at 4\.000 s"):
        reader.add_video(VideoPart(source=clip, start_s=9.0))


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="no sampling policy"):
        ReadSettings(sampling="newest")
    with pytest.raises(ConfigError, match="fps"):
        ReadSettings(fps=0)
    with pytest.raises(ConfigError, match="num_threads"):
        ReadSettings(num_threads=0)


def test_frames_of_a_video_are_read_as_a_stream_in_one_walk(clip):
    parts = [
        ImagePart(source=VideoFrame(source=clip, pts_s=second), time_s=second - 1) for second in (1.0, 2.0)
    ]
    with MediaReader(TRUE_TIMES) as reader:
        reader.add_stream(parts)
        read_frames = list(reader.frames())
    assert [frame.time_s for frame in read_frames] == [0.0, 1.0]
    np.testing.assert_allclose([frame.pixels.mean() for frame in read_frames], [50, 100], atol=3)


def test_one_frame_of_a_video_is_an_image(clip):
    [(times, levels)], [planned] = read([ImagePart(source=VideoFrame(source=clip, pts_s=2.04))])
    assert (times, planned.kind, planned.times_s) == ([None], "image", (None,))
    np.testing.assert_allclose(levels, [100], atol=3)


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        ([2.0, 1.0], "go back in time"),
        ([1.0, np.zeros((32, 48, 3), np.uint8)], "this one mixes them"),
    ],
)
def test_a_stream_that_cannot_be_one_video_is_refused(clip, sources, complaint):
    frames = [VideoFrame(source=clip, pts_s=s) if isinstance(s, float) else s for s in sources]
    with MediaReader(TRUE_TIMES) as reader, pytest.raises(InputError, match=complaint):
        reader.add_stream([ImagePart(source=frame) for frame in frames])


def test_a_depth_map_is_not_read_as_an_image():
    with (
        MediaReader(ReadSettings()) as reader,
        pytest.raises(InputError, match="a picture of modality 'depth'"),
    ):
        reader.add_image(ImagePart(source="depth.png", modality="depth"))
