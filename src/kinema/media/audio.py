"""The sound of a file, at any rate, with the time of its first sample.

Letters: N sound samples, C sound channels.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from kinema.errors import ConfigError, InputError, MediaError, MediaWarning
from kinema.media.container import Complaints, open_container
from kinema.media.frames import AudioClip
from kinema.media.source import OpenSource, Source, opened

_PREROLL_S = 0.5
"""Decoding starts this much before the wanted sound: codecs need what came before."""

_GAP_S = 0.05
"""A hole in the time stamps above this is filled with silence, so that what follows stays on time."""

_FORMATS_WITH_LENGTH = ("mov,mp4,m4a,3gp,3g2,mj2", "flac")
"""Formats whose header states how long the sound is."""

_TAIL_TOLERANCE_S = 0.5
"""Encoders pad their last packet, and headers are rounded; a shorter difference is not worth a warning."""

_LOWEST_RATE, _MOST_CHANNELS = 1000, 8
"""Sound beyond these is damage, not sound: 7.1 has 8 channels, telephones 8000 samples a second."""

_MOST_SILENCE_S = 3600.0
"""Holes that together are longer come from damaged time stamps, and are not filled any more."""


def read_audio(
    source: Source,
    *,
    sample_rate: int | None = 16_000,
    num_channels: int | None = 1,
    start_s: float | None = None,
    end_s: float | None = None,
) -> AudioClip:
    """Read the sound of a sound or video file, or a part of it.

    Args:
        source: a path, an http(s) URL, the bytes of a file, or an open binary file.
        sample_rate: samples a second of the result; None for those of the file.
        num_channels: 1 is the mean of all channels; 2 is FFmpeg's stereo mix; None is 1 for a file of one
            channel, else 2.
        start_s: presentation time to read from; None is the beginning.
        end_s: presentation time to read up to; None, or past the end, is the end.

    Raises:
        ConfigError: if the rate or the number of channels cannot work.
        InputError: if there is no sound in the asked-for time.
        MediaError: if the file cannot be read or holds no sound.
    """
    with opened(source) as file:
        return read_audio_open(
            file, sample_rate=sample_rate, num_channels=num_channels, start_s=start_s, end_s=end_s
        )


def read_audio_open(
    source: OpenSource,
    *,
    sample_rate: int | None,
    num_channels: int | None,
    start_s: float | None,
    end_s: float | None,
) -> AudioClip:
    """Like ``read_audio``, for a source that is already open."""
    if (sample_rate is not None and sample_rate < 1) or num_channels not in (1, 2, None):
        raise ConfigError(
            f"sound has a sample_rate above 0 and 1 or 2 channels, got {sample_rate} and {num_channels}."
        )
    complaints = Complaints()
    track = _decode(source, _Track(sample_rate, num_channels), start_s, end_s, complaints)
    if track.start_s is None and start_s is None and end_s is None:
        raise MediaError(
            f"{source.name}: not one sample of its sound can be decoded "
            f"({complaints or 'there is none'}). The file is damaged; copy it again."
        )
    if track.start_s is None:
        raise InputError(f"{source.name}: there is no sound from {start_s} to {end_s} s.")
    if complaints or track.num_damaged:
        said = f"FFmpeg says: {complaints}" if complaints else f"{track.num_damaged} pieces of absurd form"
        _warn(f"{source.name}: some of its sound is damaged and left out ({said})")
    if end_s is None and track.missing_s > _TAIL_TOLERANCE_S:
        _warn(f"{source.name}: the last {track.missing_s:.1f} s of its sound are missing")
    return _cut(track.samples(), track.start_s, track.sample_rate, start_s, end_s, source.name)


def clip_between(clip: AudioClip, start_s: float | None, end_s: float | None) -> AudioClip:
    """A part of sound that is decoded; arguments and errors as for ``read_audio``."""
    if start_s is None and end_s is None:
        return clip
    return _cut(clip.data, clip.start_s, clip.sample_rate, start_s, end_s, "<sound>")


def stated_span_s(
    source: OpenSource, *, start_s: float | None = None, end_s: float | None = None
) -> tuple[float, float] | None:
    """When the header says that the sound begins and ends; None where it does not, as in WAV, MP3 and MKV.

    Args:
        source: a file.
        start_s: presentation time to take it from; None is the beginning.
        end_s: presentation time to take it up to; None is the end.

    Raises:
        MediaError: if there is no sound.
    """
    container = open_container(source)
    try:
        stream = _sound_stream(container, source.name)
        last_s = _stated_end_s(container, stream)
        if last_s is None:
            return None
        first_s = float((stream.start_time or 0) * stream.time_base)
        return (
            first_s if start_s is None else max(start_s, first_s),
            last_s if end_s is None else min(end_s, last_s),
        )
    finally:
        container.close()


def _decode(
    source: OpenSource, track: "_Track", start_s: float | None, end_s: float | None, complaints: Complaints
) -> "_Track":
    """Put the sound around the asked-for time on the track."""
    container = open_container(source)
    try:
        stream = _sound_stream(container, source.name)
        if start_s is not None and start_s > _PREROLL_S:
            _seek(container, stream, start_s - _PREROLL_S, complaints)
        for frame in _frames(container, stream, complaints):
            if end_s is not None and frame.time is not None and frame.time >= end_s:
                break
            try:
                track.append(frame)
            except (av.FFmpegError, ValueError):
                track.num_damaged += 1
        track.stated_end_s = _stated_end_s(container, stream)
    finally:
        container.close()
    return track


class _Track:
    """Decoded pieces of sound put end to end, at one rate: the first piece's where none is asked for."""

    def __init__(self, sample_rate: int | None, num_channels: int | None) -> None:
        self.sample_rate = sample_rate or 0
        self._num_channels = num_channels or 0
        self._resampler: Any = None
        self._kind: tuple[str, str, int] | None = None
        self._pieces: list[NDArray[np.float32]] = []
        self._ends_s = 0.0
        self._silence_s = 0.0
        self.start_s: float | None = None
        self.num_damaged = 0
        self.stated_end_s: float | None = None

    @property
    def missing_s(self) -> float:
        """How much is not there of what the header promises."""
        return 0.0 if self.stated_end_s is None else max(0.0, self.stated_end_s - self._ends_s)

    def append(self, frame: Any) -> None:
        """Add an ``av.AudioFrame``, after silence if there is a gap before it.

        Damaged packets decode to sound of absurd rates, and of channels that crash PyAV: these are left out.
        """
        if frame.sample_rate < _LOWEST_RATE or frame.layout.nb_channels > _MOST_CHANNELS:
            self.num_damaged += 1
            return
        self.sample_rate = self.sample_rate or frame.sample_rate
        self._num_channels = self._num_channels or min(frame.layout.nb_channels, 2)
        time_s = self._ends_s if frame.time is None else frame.time
        if self.start_s is None:
            self.start_s = self._ends_s = time_s
        gap_s = time_s - self._ends_s
        if gap_s > _GAP_S and self._silence_s + gap_s < _MOST_SILENCE_S:
            self._flush()
            self._silence_s += gap_s
            silence = round((time_s - self.start_s) * self.sample_rate) - sum(map(len, self._pieces))
            self._pieces.append(np.zeros((max(0, silence), self._num_channels), np.float32))
            self._ends_s = time_s
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or kind != self._kind:
            self._flush()
            layout = "stereo" if self._num_channels == 2 else frame.layout.name
            self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=self.sample_rate)
            self._kind = kind
        self._ends_s += frame.samples / frame.sample_rate
        frame.pts = None  # the resampler would count on it; we do that here
        self._take(self._resampler.resample(frame))

    def samples(self) -> NDArray[np.float32]:
        """(N, C) between -1 and 1."""
        self._flush()
        return np.concatenate(self._pieces).clip(-1, 1)

    def _flush(self) -> None:
        if self._resampler is not None:
            self._take(self._resampler.resample(None))
            self._resampler = None

    def _take(self, frames: list[Any]) -> None:
        for frame in frames:
            planes = frame.to_ndarray()  # (channels of the file, N)
            mixed = planes.mean(axis=0, keepdims=True) if self._num_channels == 1 else planes
            self._pieces.append(mixed.T.astype(np.float32))


def _sound_stream(container: Any, name: str) -> Any:
    if not container.streams.audio:
        kinds = ", ".join(dict.fromkeys(stream.type for stream in container.streams)) or "nothing"
        raise MediaError(f"{name}: holds no sound (it is {container.format.name} with {kinds}).")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise MediaError(f"{name}: its sound has a codec FFmpeg does not know; convert it to AAC or WAV.")
    for other in container.streams:
        if other is not stream:
            other.discard = av.stream.Discard.all
    return stream


def _stated_end_s(container: Any, stream: Any) -> float | None:
    """When the header says that the sound ends; None where FFmpeg guesses it from the file's size."""
    if stream.duration is None or container.format.name not in _FORMATS_WITH_LENGTH:
        return None
    return float(((stream.start_time or 0) + stream.duration) * stream.time_base)


def _warn(message: str) -> None:
    warnings.warn(f"{message}; what is there is read.", MediaWarning, stacklevel=4)


def _seek(container: Any, stream: Any, time_s: float, complaints: Complaints) -> None:
    """Go near a time; where the container cannot, all the sound before it is decoded and cut off."""
    try:
        with complaints.caught():
            container.seek(int(time_s / stream.time_base), stream=stream)
    except (av.FFmpegError, OSError):
        return


def _frames(container: Any, stream: Any, complaints: Complaints) -> Iterator[Any]:
    """Decoded pieces of sound; damaged packets are passed over."""
    packets = container.demux(stream)
    while True:
        with complaints.caught():
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError):
                packet = None  # the file breaks off
            try:
                frames = stream.decode(packet)
            except (av.FFmpegError, OSError):
                frames = []
        yield from frames
        if packet is None:
            return


def _cut(
    samples: NDArray[np.float32],
    first_s: float,
    sample_rate: int,
    start_s: float | None,
    end_s: float | None,
    name: str,
) -> AudioClip:
    """The samples from ``start_s`` to ``end_s`` of those that begin at ``first_s``."""
    first = 0 if start_s is None else max(0, round((start_s - first_s) * sample_rate))
    last = len(samples) if end_s is None else min(len(samples), round((end_s - first_s) * sample_rate))
    if first >= last:
        raise InputError(
            f"{name}: there is no sound from {start_s} to {end_s} s; the nearest there is lasts from "
            f"{first_s:.3f} to {first_s + len(samples) / sample_rate:.3f} s."
        )
    return AudioClip(
        data=np.ascontiguousarray(samples[first:last]),
        sample_rate=sample_rate,
        start_s=first_s + first / sample_rate,
    )
