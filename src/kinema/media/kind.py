"""What a source is, an image, a sound or else a video, by how its bytes begin."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from kinema.media.source import Source

_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif"}
_SOUND_SUFFIXES = {".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus"}
_SOUND_BEGINNINGS = (b"fLaC", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9")
"""FLAC, MP3 with and without tags, AAC."""
_OGG_SOUNDS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")
_BEGINNING = 40
"""Bytes of a file that are looked at."""
_IMAGE_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*")


def is_image(source: Source) -> bool:
    """Whether a source is a still image: by how its bytes begin, a URL by its ending. A GIF is a video."""
    return _is_kind(source, _IMAGE_SUFFIXES, _begins_as_image)


def is_sound(source: Source) -> bool:
    """Whether a source is sound alone, as ``is_image`` finds it; other containers count as videos."""
    return _is_kind(source, _SOUND_SUFFIXES, _begins_as_sound)


def _is_kind(source: Source, suffixes: set[str], begins: Callable[[bytes], bool]) -> bool:
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return Path(urlsplit(source).path).suffix.lower() in suffixes
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return path.is_file() and begins(_beginning(path))
    if isinstance(source, bytes):
        return begins(source[:_BEGINNING])
    start = source.tell()
    beginning = source.read(_BEGINNING)
    source.seek(start)
    return begins(beginning)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_BEGINNING)


def _begins_as_image(beginning: bytes) -> bool:
    is_webp = beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP"
    return beginning.startswith(_IMAGE_BEGINNINGS) or is_webp or beginning[4:12] == b"ftypavif"


def _begins_as_sound(beginning: bytes) -> bool:
    is_wave = beginning[:4] in (b"RIFF", b"RF64") and beginning[8:12] == b"WAVE"
    is_ogg = beginning.startswith(b"OggS") and beginning[28:].startswith(_OGG_SOUNDS)
    return beginning.startswith(_SOUND_BEGINNINGS) or is_wave or is_ogg or beginning[4:11] == b"ftypM4A"
