import pytest
from numbered_clips import sound_file, tone

from kinema.errors import InputError
from kinema.inference.request import media_parts
from kinema.processors.messages import AudioPart, VideoPart


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
