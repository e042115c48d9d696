"""Opening a file with FFmpeg, and FFmpeg's own words about what is wrong with it.

FFmpeg prints its complaints to stderr, where nobody can act on them. Here they are caught and put into the
``MediaError`` or ``MediaWarning`` that names the file. FFmpeg runs single-threaded unless asked otherwise:
its decoders are robust against damaged input on one thread, and a program that reads many files parallelises
over files.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import av

from kinema.errors import MediaError
from kinema.media.source import OpenSource

MAX_PIXELS = 1 << 26
"""Largest picture that is decoded, 8192 x 8192; a damaged header may claim any size."""

_OPTIONS = {"protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
"""No network: a playlist that pretends to be a video must not make us call an address."""

_NOT_MEDIA = {"tty": "text"}
"""Formats that FFmpeg takes for video, and nobody else does."""

_MOST_MESSAGES = 3
"""As many different messages tell what is wrong; a damaged file may cause thousands."""


class Complaints:
    """What FFmpeg said during a piece of work, without its repetitions.

    Args:
        has_threads: whether FFmpeg works on threads of its own; then what it says about other files on other
            threads of ours comes along, as it does not tell which is which.
    """

    def __init__(self, *, has_threads: bool = False) -> None:
        self._is_local = not has_threads
        self._messages: dict[str, None] = {}

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Catch FFmpeg's messages of level error or worse."""
        level = av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            with av.logging.Capture(self._is_local) as logs:
                yield
        finally:
            av.logging.set_level(level)
            if len(self._messages) < _MOST_MESSAGES:
                self._messages |= dict.fromkeys(message.strip() for _, _, message in logs)

    def __str__(self) -> str:
        return "; ".join(list(self._messages)[:_MOST_MESSAGES])

    def __bool__(self) -> bool:
        return bool(self._messages)


def open_container(source: OpenSource) -> Any:
    """Open a file for reading as an ``av.container.InputContainer``.

    Raises:
        MediaError: if FFmpeg does not know the format, or the file is too damaged to open.
    """
    complaints = Complaints()
    try:
        with complaints.caught():
            container = av.open(source.reader(), "r", options=dict(_OPTIONS), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"{source.name}: is not a media file FFmpeg can open, or its header is damaged "
            f"({source.size_bytes} bytes, {reason(error, complaints)}). Check that the copy is complete."
        ) from error
    if container.format.name in _NOT_MEDIA:
        container.close()
        raise MediaError(f"{source.name}: holds {_NOT_MEDIA[container.format.name]}, not media.")
    return container


def reason(error: Exception, complaints: Complaints) -> str:
    """Why FFmpeg failed, in its own words."""
    said = str(complaints)
    return f"FFmpeg says: {said}" if said else f"FFmpeg says: {getattr(error, 'strerror', None) or error}"
