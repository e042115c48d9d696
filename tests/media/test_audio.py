import io
from fractions import Fraction

import av
import numpy as np
import pytest
from numbered_clips import encode, numbered_frames, sound_file, tone

from kinema.errors import ConfigError, InputError, MediaError, MediaWarning
from kinema.media.audio import clip_between, read_audio, stated_span_s
from kinema.media.frames import AudioClip
from kinema.media.source import opened
from kinema.media.video import open_video
from kinema.media.write import write_video


def frequency(clip):
    """The strongest frequency of the first channel, in hertz."""
    spectrum = np.abs(np.fft.rfft(clip.data[:, 0]))
    return int(np.argmax(spectrum)) * clip.sample_rate / len(clip.data)


def onset_s(clip):
    """When the sound gets loud."""
    return clip.start_s + np.flatnonzero(np.abs(clip.data[:, 0]) > 0.2)[0] / clip.sample_rate


def test_pcm_is_read_as_it_was_written():
    original = tone(0.5)
    clip = read_audio(sound_file(clip=original))
    assert (clip.sample_rate, clip.start_s, clip.duration_s) == (16_000, 0.0, 0.5)
    np.testing.assert_allclose(clip.data, original.data, atol=1e-4)


@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 48_000])
def test_any_rate_keeps_length_and_pitch(sample_rate):
    clip = read_audio(sound_file(clip=tone(1.0)), sample_rate=sample_rate)
    assert len(clip.data) == pytest.approx(sample_rate, abs=2)
    assert frequency(clip) == pytest.approx(440, abs=2)


def test_mono_is_the_mean_of_the_channels():
    left, right = np.full(8_000, 0.5, np.float32), np.full(8_000, -0.25, np.float32)
    stereo = AudioClip(data=np.stack([left, right], 1), sample_rate=16_000, start_s=0.0)
    data = sound_file(clip=stereo)
    np.testing.assert_allclose(read_audio(data).data, 0.125, atol=1e-3)
    np.testing.assert_allclose(read_audio(data, num_channels=2).data, stereo.data, atol=1e-3)


def test_rate_and_channels_of_the_file_are_kept_where_none_are_asked_for():
    stereo = read_audio(sound_file(clip=tone(0.5, num_channels=2)), sample_rate=None, num_channels=None)
    assert (stereo.sample_rate, stereo.data.shape) == (16_000, (8_000, 2))
    mono = read_audio(sound_file(clip=tone(0.5, sample_rate=22_050)), sample_rate=None, num_channels=None)
    assert (mono.sample_rate, mono.data.shape) == (22_050, (11_025, 1))


@pytest.mark.parametrize(("container", "codec"), [("flac", "flac"), ("mov", "pcm_s16le")])
def test_a_header_that_says_how_long_the_sound_is_is_believed(container, codec):
    with opened(sound_file(container, codec, tone(1.5))) as file:
        assert stated_span_s(file) == pytest.approx((0.0, 1.5), abs=0.01)
        assert stated_span_s(file, start_s=0.5, end_s=9.0) == pytest.approx((0.5, 1.5), abs=0.01)


def test_a_length_that_is_only_guessed_from_the_size_is_not():
    with opened(sound_file()) as file:
        assert stated_span_s(file) is None
    with opened(encode("mp4", "libx264")) as file, pytest.raises(MediaError, match="holds no sound"):
        stated_span_s(file)


def test_a_range_is_cut_to_the_sample():
    original = tone(2.0)
    clip = read_audio(sound_file(clip=original), start_s=1.25, end_s=1.5)
    assert (clip.start_s, len(clip.data)) == (1.25, 4_000)
    np.testing.assert_allclose(clip.data, original.data[20_000:24_000], atol=1e-4)


def test_sound_that_is_decoded_is_cut_by_its_times():
    part = clip_between(AudioClip(data=tone(1.0).data, sample_rate=16_000, start_s=2.0), 2.25, None)
    assert (part.start_s, len(part.data)) == (2.25, 12_000)
    with pytest.raises(InputError, match="the nearest there is"):
        clip_between(part, 0.0, 1.0)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm"])
def test_sound_that_starts_late_keeps_its_time(tmp_path, name):
    burst = np.zeros((32_000, 1), np.float32)
    burst[16_000:] = tone(1.0).data
    sound = AudioClip(data=burst, sample_rate=16_000, start_s=0.5)
    write_video(tmp_path / name, numbered_frames(20), fps=10, audio=sound)
    with open_video(tmp_path / name) as video:
        clip = video.audio()
        part = video.audio(start_s=1.0, end_s=2.0)
    assert onset_s(clip) == pytest.approx(1.5, abs=0.02)
    assert part.start_s == pytest.approx(1.0, abs=1e-3)
    assert part.start_s + np.flatnonzero(np.abs(part.data[:, 0]) > 0.2)[0] / 16_000 == pytest.approx(
        1.5, abs=0.02
    )


def test_a_video_without_sound_says_so():
    with open_video(encode("mp4", "libx264")) as video, pytest.raises(MediaError, match="holds no sound"):
        video.audio()


@pytest.mark.filterwarnings("ignore:.*Invalid PCM packet")
def test_sound_cut_off_gives_what_is_there():
    data = sound_file("wav", clip=tone(2.0))
    assert read_audio(data[: len(data) // 2]).duration_s == pytest.approx(1.0, abs=0.01)


def test_a_time_without_sound_is_refused_with_the_times_there_are():
    data = sound_file(clip=tone(1.0))
    with pytest.raises(InputError, match=r"no sound from 5\.0 to 6\.0 s"):
        read_audio(data, start_s=5.0, end_s=6.0)
    with pytest.raises(InputError, match=r"no sound from 1\.2 to 1\.3 s; the nearest .* to 1\.000 s"):
        read_audio(data, start_s=1.2, end_s=1.3)


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="1 or 2 channels"):
        read_audio(sound_file(), num_channels=3)
    with pytest.raises(ConfigError, match="sample_rate above 0"):
        read_audio(sound_file(), sample_rate=0)


def test_what_is_not_sound_is_named():
    with pytest.raises(MediaError, match="not a media file"):
        read_audio(io.BytesIO(b"no sound at all" * 20))


def test_a_real_sound_is_read_whole(media_dir):
    clip = read_audio(media_dir / "sound_16khz.wav")
    assert (clip.sample_rate, clip.data.shape[1]) == (16_000, 1)
    assert clip.duration_s == pytest.approx(10.24, abs=0.01)


def test_a_hole_in_the_sound_is_filled_with_silence_and_a_damaged_time_stamp_is_not():
    for hole_s, length_s in ((1.0, 2.0), (10_000.0, 1.0)):
        file = io.BytesIO()
        with av.open(file, "w", format="matroska") as output:
            stream = output.add_stream("pcm_s16le", rate=16_000, layout="mono")
            for start_s in (0.0, 0.5 + hole_s):
                samples = np.ascontiguousarray(tone(0.5).data.T)
                frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = (
                    16_000,
                    int(start_s * 16_000),
                    Fraction(1, 16_000),
                )
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        clip = read_audio(file.getvalue())
        assert clip.duration_s == pytest.approx(length_s, abs=0.01)
        assert np.abs(clip.data[-7_000:]).max() > 0.4


def test_damaged_pieces_of_sound_are_left_out_with_a_warning():
    data = bytearray(sound_file("mp3", "libmp3lame", clip=tone(2.0, sample_rate=48_000)))
    data[8_000:9_000] = bytes(1_000)
    with pytest.warns(MediaWarning, match="some of its sound is damaged and left out"):
        clip = read_audio(bytes(data))
    assert clip.duration_s == pytest.approx(2.0, abs=0.2)


@pytest.mark.filterwarnings("ignore:.*is damaged and left out")
def test_a_missing_tail_of_sound_is_said_in_seconds():
    data = sound_file("flac", "flac", clip=tone(4.0))
    with pytest.warns(MediaWarning, match=r"the last [12]\.\d s of its sound are missing"):
        clip = read_audio(data[: len(data) * 6 // 10])
    assert 1.5 < clip.duration_s < 2.5
