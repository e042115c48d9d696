import io

import pytest
from numbered_clips import encode, sound_file, tone

from kinema.media.kind import is_image, is_sound


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
