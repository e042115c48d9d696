import io
import threading
import warnings
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest
from numbered_clips import HEVC_CLIP, INTERLACED, encode, numbered_frames, numbers, sound_file, tone
from PIL import Image

from kinema.errors import ConfigError, InputError, MediaError, MediaWarning
from kinema.media.picture import at_most
from kinema.media.video import open_video
from kinema.media.write import write_video

LOSSLESS = {"crf": "1"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Three seconds at ten frames a second, a keyframe every ten frames."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_video(path, numbered_frames(30), fps=10, audio=tone(3.0), codec_options={"g": "10"})
    return path


def test_read_gives_frames_their_times_and_the_length_of_the_whole(clip):
    with open_video(clip) as video:
        batch = video.read(fps=2)
    assert batch.data.shape == (6, 32, 48, 3)
    assert batch.pts_s.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert numbers(batch.data) == [0, 5, 10, 15, 20, 25]
    assert batch.duration_s == 3.0


def test_info_says_what_the_container_states(clip):
    with open_video(clip) as video:
        info = video.info
    assert (info.width, info.height, info.rotation) == (48, 32, 0)
    assert (info.codec, info.average_fps, info.num_frames, info.duration_s) == ("h264", 10.0, 30, 3.0)
    assert (info.has_audio, info.audio_sample_rate, info.audio_channels) == (True, 16_000, 1)


def test_a_range_of_time_is_read_on_the_clock_of_the_file(clip):
    with open_video(clip) as video:
        batch = video.read(fps=5, start_s=1.0, end_s=2.0)
    assert batch.pts_s.tolist() == [1.0, 1.2, 1.4, 1.6, 1.8]
    assert numbers(batch.data) == [10, 12, 14, 16, 18]


def test_several_ranges_overlap_freely(clip):
    with open_video(clip) as video:
        first, second = video.read_ranges([(0.5, 1.5), (1.0, 3.0)], fps=2)
    assert numbers(first.data) == [5, 10]
    assert numbers(second.data) == [10, 15, 20, 25]


def test_frames_at_gives_the_nearest_frames_in_the_order_asked(clip):
    with open_video(clip) as video:
        batch = video.frames_at([2.04, 0.5, 99.0, 0.5])
    assert batch.pts_s.tolist() == [2.0, 0.5, 2.9, 0.5]
    assert numbers(batch.data) == [20, 5, 29, 5]


def test_no_range_gives_no_batch_and_no_time_is_refused(clip):
    with open_video(clip) as video:
        assert video.read_ranges([]) == []
        with pytest.raises(InputError, match="no time is given"):
            video.frames_at([])


def test_iter_read_gives_what_read_gives_one_by_one(clip):
    for sampling in ("fps", "videollama3", "video_llava"):
        with open_video(clip) as video:
            batch = video.read(sampling=sampling)
            singles = list(video.iter_read(sampling=sampling))
        assert [time_s for time_s, _ in singles] == batch.pts_s.tolist()
        np.testing.assert_array_equal(np.stack([frame for _, frame in singles]), batch.data)


def test_iter_frames_gives_every_frame_of_a_range(clip):
    with open_video(clip) as video:
        frames = list(video.iter_frames(start_s=1.05, end_s=1.4))
    assert [time_s for time_s, _ in frames] == [1.1, 1.2, 1.3]
    assert numbers(frame for _, frame in frames) == [11, 12, 13]


def test_readings_of_one_video_do_not_disturb_each_other(clip):
    for source in (clip, clip.read_bytes()):
        with open_video(source) as video:
            frames = video.iter_frames()
            started = [next(frames) for _ in range(3)]
            assert numbers(video.read(fps=1).data) == [0, 10, 20]
            assert len(started) + len(list(frames)) == 30


def test_published_rules_repeat_frames_and_print_their_own_times(clip):
    with open_video(clip) as video:
        repeated = video.read(sampling="video_llava", num_frames=8, start_s=0.0, end_s=0.4)
        official = video.read(sampling="videollama3")
    assert numbers(repeated.data) == [0, 0, 0, 1, 1, 2, 2, 3]
    assert numbers(official.data) == [9, 19, 29]
    assert official.pts_s.tolist() == [0.0, 1.0, 2.0]


def test_size_bounds_each_frame_as_it_is_decoded(clip):
    with open_video(clip) as video:
        assert video.read(size=(16, 20)).data.shape == (3, 16, 20, 3)
        assert video.read(size=at_most(16 * 24)).data.shape == (3, 16, 24, 3)
        assert video.read(size=at_most(10**6)).data.shape == (3, 32, 48, 3)
        assert numbers(video.read(size=(16, 24)).data) == [0, 10, 20]


def test_bytes_and_open_files_are_read_and_the_callers_file_stays_open(clip):
    with clip.open("rb") as file, open_video(file) as video:
        assert numbers(video.read().data) == [0, 10, 20]
    with open_video(io.BytesIO(clip.read_bytes())) as video:
        assert numbers(video.read().data) == [0, 10, 20]
    file = io.BytesIO(clip.read_bytes())
    open_video(file).close()
    assert not file.closed


@pytest.fixture
def server(clip):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=clip.parent))
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_a_url_is_read(server, clip):
    with open_video(f"{server}/{clip.name}") as video:
        assert numbers(video.read().data) == [0, 10, 20]


def test_a_url_that_is_not_there_is_named_with_the_servers_answer(server):
    with pytest.raises(MediaError, match=r"nothing\.mp4: cannot be downloaded: HTTP Error 404"):
        open_video(f"{server}/nothing.mp4")


def test_a_gif_goes_by_its_own_delays(tmp_path):
    times_s = [0.0, 0.1, 0.5, 0.6]
    write_video(tmp_path / "clip.gif", numbered_frames(4), fps=10, times_s=times_s)
    with open_video(tmp_path / "clip.gif") as video:
        frames = list(video.iter_frames())
    assert [time_s for time_s, _ in frames] == times_s
    assert numbers(frame for _, frame in frames) == [0, 1, 2, 3]


def test_a_folder_of_images_is_a_video_in_the_order_of_its_numbers(tmp_path):
    for number, frame in enumerate(numbered_frames(12)):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    with open_video(tmp_path, image_fps=4) as video:
        batch = video.read(fps=2)
        assert (video.info.num_frames, video.info.average_fps) == (12, 4)
    assert numbers(batch.data) == [0, 2, 4, 6, 8, 10]
    assert batch.pts_s.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


def test_a_list_of_image_files_keeps_its_order(tmp_path):
    paths = []
    for number, frame in enumerate(numbered_frames(4)):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
        paths.append(tmp_path / f"{number}.png")
    with pytest.raises(ConfigError, match="image_fps must be above 0"):
        open_video(paths, image_fps=0)
    with open_video(paths[::-1], image_fps=1) as video:
        assert numbers(video.read().data) == [3, 2, 1, 0]
        with pytest.raises(MediaError, match="images have no sound"):
            video.audio()


def test_images_of_different_sizes_need_one(tmp_path):
    for number, side in enumerate((20, 30)):
        Image.new("RGB", (side, side)).save(tmp_path / f"{number}.png")
    with open_video(tmp_path) as video:
        with pytest.raises(MediaError, match=r"1\.png: is 30 x 30 .* first image is 20 x 20"):
            video.read(fps=3)
        assert video.read(fps=3, size=(10, 10)).data.shape == (2, 10, 10, 3)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_video_is_read_upright(tmp_path, rotation):
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:16, 24:] = 240  # a bright upper right corner
    write_video(tmp_path / "clip.mp4", [stored] * 3, fps=3, rotation=rotation)
    with open_video(tmp_path / "clip.mp4") as video:
        frame = video.read().data[0]
        assert (video.info.height, video.info.width, video.info.rotation) == (*frame.shape[:2], rotation)
        small = video.read(size=(24, 16) if rotation != 180 else (16, 24)).data[0]
    upright = np.rot90(stored, rotation // 90)
    np.testing.assert_allclose(frame.astype(int), upright, atol=30)
    assert small.shape == (upright.shape[0] // 2 if rotation == 180 else 24, upright.shape[1] // 2, 3)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_variable_rate_is_read_at_its_true_times(tmp_path, name):
    times_s = [0.0, 0.1, 0.2, 0.3, 2.0, 2.1, 4.0, 4.05, 5.0]
    write_video(tmp_path / name, numbered_frames(9), fps=10, times_s=times_s)
    with open_video(tmp_path / name) as video:
        batch = video.read(fps=1)
        assert video.timeline.is_variable_rate
        assert video.timeline.pts_s == pytest.approx(times_s)
    assert batch.pts_s == pytest.approx([0.0, 0.3, 2.0, 2.1, 4.0, 5.0])
    assert numbers(batch.data) == [0, 3, 4, 5, 6, 8]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_video_that_starts_late_keeps_its_clock(tmp_path, name):
    write_video(tmp_path / name, numbered_frames(20), fps=10, times_s=[0.75 + i / 10 for i in range(20)])
    with open_video(tmp_path / name) as video:
        batch = video.read(fps=1)
        assert video.timeline.start_s == pytest.approx(0.75)
        assert batch.duration_s == pytest.approx(2.0)
        assert video.read(fps=1, start_s=1.75).pts_s == pytest.approx([1.75])
    assert batch.pts_s == pytest.approx([0.75, 1.75])
    assert numbers(batch.data) == [0, 10]


@pytest.mark.parametrize("kind", ["mkv", "webm", "fragmented_mp4"])
def test_frames_are_counted_where_the_container_states_no_count(kind):
    file = io.BytesIO()
    write_video(file, numbered_frames(20), fps=10, container=kind)
    with open_video(file.getvalue()) as video:
        assert video.info.num_frames is None
        assert len(video.timeline) == 20
        assert numbers(video.read(sampling="video_llava", num_frames=3).data) == [0, 9, 19]


CONTAINERS = [
    ("avi", "libx264", {"options": LOSSLESS}),
    ("avi", "mpeg4", {"options": {"bf": "2", "qmax": "1", "qmin": "1"}}),
    ("avi", "rawvideo", {"pixel_format": "bgr24"}),
    ("mpegts", "libx264", {"options": {"g": "5"}}),
    ("mpegts", "libx264", {}),
    ("h264", "libx264", {}),
    ("flv", "libx264", {}),
    ("webm", "libvpx", {}),
    ("mp4", "libx264", {"pixel_format": "yuv420p10le", "options": LOSSLESS}),
    ("mp4", "libx264", {"pixel_format": "yuv444p", "options": LOSSLESS}),
    ("mp4", "libx264", {"options": {"x264-params": "tff=1"}}),
    ("mp4", "mpeg2video", {"flags": INTERLACED, "options": {"qmax": "2"}}),
    ("mov", "qtrle", {"pixel_format": "argb"}),
    ("mov", "prores_ks", {"pixel_format": "yuv422p10le"}),
    ("matroska", "ffv1", {"pixel_format": "gray16le"}),
    ("matroska", "ffv1", {"pixel_format": "yuv444p16le"}),
]


@pytest.mark.parametrize(("container", "codec", "settings"), CONTAINERS)
def test_every_container_and_pixel_format_gives_the_frames_that_were_put_in(container, codec, settings):
    with open_video(encode(container, codec, **settings)) as video:
        frames = list(video.iter_frames())
        assert numbers(frame for _, frame in frames) == list(range(30))
        steps = np.diff([time_s for time_s, _ in frames])
        np.testing.assert_allclose(steps, 0.1, atol=0.001)
        sparse = video.frames_at([frames[index][0] for index in (3, 14, 15, 28)])
        assert numbers(sparse.data) == [3, 14, 15, 28]


def test_hevc_gives_the_frames_that_were_put_in():
    with open_video(HEVC_CLIP) as video:
        assert numbers(frame for _, frame in video.iter_frames()) == list(range(30))
        assert numbers(video.frames_at([0.3, 1.4, 1.5, 2.8]).data) == [3, 14, 15, 28]


def test_frames_that_an_edit_list_cuts_off_are_not_shown():
    file = io.BytesIO()
    write_video(file, numbered_frames(30), fps=10, container="mp4", codec_options={"g": "30"})
    data = bytearray(file.getvalue())
    edit = data.index(b"elst") + 16  # the time of the media at which the edit starts
    start = int.from_bytes(data[edit : edit + 4], "big") + 10_240 // 2  # half a second later
    data[edit : edit + 4] = start.to_bytes(4, "big")
    with open_video(bytes(data)) as video:
        batch = video.read(fps=2)
        assert len(video.timeline) == 25
    assert batch.pts_s.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert numbers(batch.data) == [5, 10, 15, 20, 25]


def test_ten_bit_video_says_so():
    with open_video(encode("mp4", "libx264", pixel_format="yuv420p10le")) as video:
        assert video.info.pixel_format == "yuv420p10le"


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
def test_colours_follow_the_matrix_the_stream_states(matrix):
    red = np.zeros((32, 48, 3), np.uint8)
    red[..., 0] = 255
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=5, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv444p"
        stream.codec_context.colorspace = {"bt709": 1, "smpte170m": 6}[matrix]
        space = {"bt709": "ITU709", "smpte170m": "ITU601"}[matrix]
        frame = av.VideoFrame.from_ndarray(red).reformat(format="yuv444p", dst_colorspace=space)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with open_video(file.getvalue()) as video:
        np.testing.assert_allclose(video.read().data[0].astype(int), red, atol=3)


def test_sound_only_is_not_video_and_the_error_says_what_to_use():
    with pytest.raises(MediaError, match=r"holds no video \(it is wav with audio\); use read_audio"):
        open_video(sound_file())


def test_cover_art_is_not_video():
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as output:
        sound = output.add_stream("libmp3lame", rate=16_000, layout="mono")
        cover = output.add_stream("png")
        cover.height, cover.width, cover.pix_fmt = 32, 48, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        output.mux(cover.encode(av.VideoFrame.from_ndarray(next(numbered_frames(1)))))
        output.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    with pytest.raises(MediaError, match="holds cover art, no video; use read_audio"):
        open_video(file.getvalue())


def test_a_truncated_tail_gives_what_is_there_and_says_how_much_is_missing(tmp_path):
    path = tmp_path / "clip.mkv"
    noise = np.random.default_rng(0).integers(0, 255, (40, 32, 48, 3), np.uint8)
    write_video(path, noise, fps=10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with (
        open_video(path) as video,
        pytest.warns(
            MediaWarning, match=r"clip\.mkv: the video ends at \d\.\d s of 4\.0 s, \d\.\d s are missing"
        ),
    ):
        batch = video.read(fps=10)
    assert 10 < len(batch) < 30
    assert (np.diff(batch.pts_s) > 0).all()


@pytest.mark.filterwarnings("ignore:.*wanted frames")
def test_frames_missing_of_an_mp4_are_counted(tmp_path):
    path = tmp_path / "clip.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (40, 32, 48, 3), np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as output:
        stream = output.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for frame in noise:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        output.mux(stream.encode(None))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with (
        open_video(path) as video,
        pytest.warns(MediaWarning, match=r"\d+ of 40 frames, \d\.\d s, are missing"),
    ):
        assert len(video.read(fps=10)) > 10


def test_a_whole_file_gives_no_warning(clip):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_video(clip) as video:
            video.read(fps=10)


def test_frames_that_cannot_be_decoded_are_counted_and_the_rest_is_read(tmp_path):
    data = bytearray(encode("mov", "mjpeg", pixel_format="yuvj420p", count=10))
    pictures = [index for index in range(len(data)) if data[index : index + 3] == b"\xff\xd8\xff"]
    data[pictures[2] : pictures[3]] = bytes(pictures[3] - pictures[2])
    with (
        open_video(bytes(data)) as video,
        pytest.warns(MediaWarning, match="of 10 wanted frames 1 cannot be decoded"),
    ):
        batch = video.read(fps=10)
    assert len(batch) == 9
    assert (np.diff(batch.pts_s) > 0).all()


@pytest.mark.parametrize("num_threads", [1, 3])
def test_frames_that_are_partly_damaged_are_counted_and_ffmpeg_is_silent(capfd, num_threads):
    noise = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), np.uint8)
    file = io.BytesIO()
    write_video(file, noise, fps=10, container="mp4")
    data = bytearray(file.getvalue())
    for position in range(data.index(b"mdat") + 5_000, data.index(b"moov"), 1_000):
        data[position] ^= 255
    expected = pytest.warns(MediaWarning, match=r"of 12 wanted frames \d+ .*FFmpeg says: ")
    with open_video(bytes(data), num_threads=num_threads) as video, expected:
        video.read(fps=10)
    assert capfd.readouterr() == ("", "")


def test_more_threads_give_the_same_frames(clip):
    with open_video(clip) as one, open_video(clip, num_threads=3) as three:
        np.testing.assert_array_equal(one.read(fps=7).data, three.read(fps=7).data)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.mp4", r"nowhere\.mp4: there is no such file"),
        (b"", "the file is empty"),
        (b"plain text, " * 99, "is not a media file FFmpeg can open"),
    ],
)
def test_what_is_not_there_or_not_media_is_named(source, message):
    with pytest.raises(MediaError, match=message):
        open_video(source)


def test_a_text_file_is_not_taken_for_a_video_of_its_characters(tmp_path):
    (tmp_path / "notes.txt").write_text("a few words\n" * 50)
    with pytest.raises(MediaError, match=r"notes\.txt"):
        open_video(tmp_path / "notes.txt")


def test_an_mp4_without_its_end_names_what_ffmpeg_misses(clip):
    with pytest.raises(MediaError, match="moov atom not found"):
        open_video(clip.read_bytes()[:2000])


def test_a_playlist_opens_no_network_address():
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    with pytest.raises(MediaError):
        open_video(playlist)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(MediaError, match="there is no image"):
        open_video(tmp_path)


def test_a_time_past_the_end_is_refused_with_the_end(clip):
    with open_video(clip) as video:
        with pytest.raises(InputError, match=r"asked for 12\.0 s on, but the video ends at 3\.000 s"):
            video.read(start_s=12.0)
        with pytest.raises(InputError, match="the video begins at 0"):
            video.read(end_s=-1.0)


def test_a_range_past_the_end_gives_what_lies_before_it(clip):
    with open_video(clip) as video:
        assert video.read(fps=2, start_s=2.0, end_s=60.0).pts_s.tolist() == [2.0, 2.5]


def test_seeking_gives_the_frames_that_decoding_everything_gives(tmp_path):
    path = tmp_path / "clip.mp4"
    moving = np.zeros((120, 32, 48, 3), np.uint8)
    for index in range(120):
        moving[index, :, index % 40 : index % 40 + 8] = 200
    for options in ({"g": "12"}, {"g": "30", "bf": "3", "x264-params": "open-gop=1"}, {"g": "300"}):
        write_video(path, moving, fps=24, codec_options=options)
        with open_video(path) as video:
            everything = np.stack([frame for _, frame in video.iter_frames()])
            for wanted in ([7, 8, 55, 119], [0, 60], [119], list(range(0, 120, 13))):
                batch = video.frames_at(video.timeline.pts_s[wanted].tolist())
                np.testing.assert_array_equal(batch.data, everything[wanted])


def test_real_clips_are_read_at_the_times_their_packets_state(media_dir):
    for path, count, rate in [
        ("room_640x360_24fps_audio.mp4", 146, 24_000 / 1001),
        ("portrait_406x720_30fps.mp4", 245, 30.0),
        ("mpeg4_640x480_5fps.mp4", 40, 5.0),
    ]:
        with av.open(media_dir / path) as container:
            expected = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
        with open_video(media_dir / path) as video:
            batch = video.read(fps=2)
            assert len(video.timeline) == len(expected) == count
            assert video.timeline.rate == pytest.approx(rate)
        for time_s, pixels in zip(batch.pts_s, batch.data, strict=True):
            nearest = min(expected, key=lambda item: abs(item[0] - time_s))
            assert time_s == pytest.approx(nearest[0], abs=1e-6)
            assert (
                np.abs(pixels.astype(int) - nearest[1]).mean() < 2
            )  # only chroma is interpolated differently
