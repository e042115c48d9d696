import gc

import av
import pytest
from numbered_clips import encode, numbered_frames, numbers

from kinema.media.stream import VideoStream
from kinema.media.video import open_video
from kinema.media.write import write_video


@pytest.fixture
def num_decoded(monkeypatch):
    """Counts the packets that reach the decoder, in a list of one number."""
    count = [0]
    decode = VideoStream._decode

    def counting(self, packet, wanted):
        count[0] += 1
        return decode(self, packet, wanted)

    monkeypatch.setattr(VideoStream, "_decode", counting)
    return count


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """Twenty seconds at ten frames a second, a keyframe every second."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    frames = (frame for _ in range(8) for frame in numbered_frames(25))
    write_video(path, frames, fps=10, codec_options={"g": "10", "x264-params": "scenecut=0"})
    return path


def test_sparse_frames_cost_their_groups_of_pictures_and_no_more(long_clip, num_decoded):
    with open_video(long_clip) as video:
        num_decoded[0] = 0
        batch = video.frames_at([0.0, 9.0, 18.0])
    assert numbers(batch.data) == [0, 15, 5]
    assert num_decoded[0] < 20


def test_dense_frames_are_decoded_once(long_clip, num_decoded):
    with open_video(long_clip) as video:
        num_decoded[0] = 0
        video.read_ranges([(0.0, 10.0), (5.0, 15.0), (0.0, None)], fps=10, max_frames=200)
    assert num_decoded[0] <= 201


def test_reading_stops_at_the_last_wanted_frame(long_clip, num_decoded):
    with open_video(long_clip) as video:
        num_decoded[0] = 0
        video.read(fps=10, end_s=1.0)
    assert num_decoded[0] < 20


def test_a_container_in_which_seeks_land_late_is_decoded_from_its_beginning_once(num_decoded):
    data = encode("mpegts", "libx264", count=30, options={"g": "300"})
    with open_video(data) as video:
        num_decoded[0] = 0
        start_s = video.timeline.start_s
        batch = video.frames_at([start_s + 1.0, start_s + 2.0, start_s + 2.9])
    assert numbers(batch.data) == [10, 20, 29]
    assert num_decoded[0] < 60


def test_decoded_frames_are_freed_as_reading_goes_on(long_clip):
    gc.collect()
    gc.disable()
    try:
        with open_video(long_clip) as video:
            for number, _ in enumerate(video.iter_frames()):
                if number == 100:
                    alive = sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert alive < 8


def test_a_change_of_size_within_a_stream_is_brought_to_the_first_size():
    small = encode("mpegts", "libx264", count=5)
    large = encode("mpegts", "libx264", count=10, size=(64, 96), first_pts=10)
    with open_video(small + large) as video:
        frames = [frame for _, frame in video.iter_frames()]
    assert {frame.shape for frame in frames} == {(32, 48, 3)}
    assert numbers(frames) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
