import io
from pathlib import Path

import numpy as np
import pytest
from numbered_clips import encode, sound_file, tone
from PIL import Image

from kinema.datasets.check.media import look_at
from kinema.datasets.fault import Fault
from kinema.media.write import write_video
from kinema.processors.messages import AudioPart, ImagePart, TextPart, VideoPart

FILM = encode("mp4", "libx264", count=30, rate=10)
DING = sound_file(clip=tone(2.0))
FLAC = sound_file("flac", "flac", tone(3.0))


def png(dtype):
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), dtype)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("part", "end_s"),
    [
        (TextPart(text="Hi"), None),
        (ImagePart(source=png(np.uint8)), None),
        (ImagePart(source=png(np.uint16), modality="depth"), None),
        (VideoPart(source=FILM), 3.0),
        (VideoPart(source=FILM, start_s=2.0, end_s=3.4), 3.0),
        (AudioPart(source=DING), 2.0),
        (AudioPart(source=FLAC, start_s=0.5, end_s=3.0), 3.0),
    ],
)
def test_what_is_there_is_well_and_says_when_it_ends(part, end_s):
    seen = look_at(part)
    assert seen.trouble is None
    assert seen.end_s == (None if end_s is None else pytest.approx(end_s, abs=1e-3))


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        (VideoPart(source=FILM, start_s=3.0), Fault.OUTSIDE),
        (VideoPart(source=FILM, end_s=3.6), Fault.OUTSIDE),
        (VideoPart(source=FILM, start_s=-1.0), Fault.OUTSIDE),
        (VideoPart(source=FILM, start_s=2.0, end_s=2.0), Fault.OUTSIDE),
        (VideoPart(source=FILM, start_s="1"), Fault.MALFORMED),
        (VideoPart(source=FILM, end_s=float("nan")), Fault.MALFORMED),
        (VideoPart(source=Path("gone.mp4")), Fault.MISSING),
        (VideoPart(source=Path("x" * 5000)), Fault.MISSING),
        (VideoPart(source=DING), Fault.UNREADABLE),
        (VideoPart(source=FILM[: len(FILM) // 2]), Fault.UNREADABLE),
        (AudioPart(source=DING, start_s=2.5), Fault.OUTSIDE),
        (AudioPart(source=FLAC, end_s=9.0), Fault.OUTSIDE),
        (AudioPart(source=FILM), Fault.UNREADABLE),
        (ImagePart(source=b"words"), Fault.UNREADABLE),
        (ImagePart(source=png(np.uint8), modality="depth"), Fault.UNREADABLE),
    ],
)
def test_what_is_not_there_is_told(part, fault):
    assert look_at(part).trouble.fault == fault


def test_sound_may_begin_later_than_the_picture_but_must_be_there(tmp_path):
    frames = [np.zeros((32, 32, 3), np.uint8)] * 30
    write_video(tmp_path / "late.mp4", frames, fps=10, audio=tone(0.5, start_s=1.2))
    assert look_at(VideoPart(source=tmp_path / "late.mp4")).trouble is None
