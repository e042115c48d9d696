import io

import pytest
from numbered_clips import encode, sound_file, tone

from kinema.errors import InputError
from kinema.inference.request import is_image, is_sound, media_parts
from kinema.processors.messages import AudioPart, VideoPart


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("flac", "flac"),
        ("mp3", "libmp3lame"),
        ("adts", "aac"),
        ("ipod", "aac"),
        ("ogg", "libopus"),
    ],
)
def test_files_of_sound_alone_are_told_by_how_they_begin(tmp_path, container, codec):
    data = sound_file(container, codec, tone(1.0, sample_rate=48_000))
    (tmp_path / "noname").write_bytes(data)
    for source in (data, io.BytesIO(data), tmp_path / "noname"):
        assert is_sound(source)
        assert not is_image(source)


def test_videos_pictures_and_what_is_not_there_are_no_sound(tmp_path):
    ogg_video = b"OggS" + bytes(24) + b"\x80theora"
    for source in (encode("mp4", "libx264"), ogg_video, b"\x89PNG\r\n", tmp_path / "none.wav"):
        assert not is_sound(source)


def test_a_url_is_told_by_its_ending():
    assert is_sound("https://example.org/dog.MP3?download=1")
    assert not is_sound("https://example.org/dog.mp4")


def test_sound_is_heard_from_and_up_to_a_time_but_has_no_frames():
    assert media_parts(sound_file(), {"start_s": 1.0})[0].start_s == 1.0
    (part,) = media_parts(tone(1.0), {"end_s": 0.5})
    assert isinstance(part, AudioPart)
    assert part.end_s == 0.5
    assert media_parts(AudioPart(source="a.wav"), {"end_s": 0.5}) == (AudioPart(source="a.wav", end_s=0.5),)
    with pytest.raises(InputError, match="max_frames: there is no video"):
        media_parts(sound_file(), {"max_frames": 4})


def test_settings_of_frames_go_to_the_videos_beside_a_sound():
    sound, video = media_parts([sound_file(), "a.mp4"], {"fps": 2.0, "end_s": 3.0})
    assert (sound.end_s, video.end_s, video.fps) == (3.0, 3.0, 2.0)
    assert isinstance(video, VideoPart)
