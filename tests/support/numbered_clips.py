"""Small clips whose frames tell their number: frame i is one grey of level ``STEP`` i."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from kinema.media.frames import AudioClip

STEP = 8

HEVC_CLIP = Path(__file__).parent / "numbered_hevc.mp4"
"""Thirty numbered frames, ten a second, made with ``encode``. Tests do not run x265: that of PyAV 18's wheel
damages the heap of its process when pictures are this small."""


def numbered_frames(count, height=32, width=48):
    return (np.full((height, width, 3), STEP * index, np.uint8) for index in range(count))


def numbers(frames):
    """The number of each decoded frame."""
    return [round(float(np.mean(frame)) / STEP) for frame in frames]


def tone(seconds=1.0, start_s=0.0, sample_rate=16_000, num_channels=1):
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    wave = (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    return AudioClip(data=np.repeat(wave[:, None], num_channels, 1), sample_rate=sample_rate, start_s=start_s)


INTERLACED = int(av.codec.context.Flags.interlaced_dct)
"""Of ``flags``: code frames as two fields."""


def encode(
    container,
    codec,
    *,
    count=30,
    rate=10,
    pixel_format="yuv420p",
    options=None,
    flags=0,
    size=(32, 48),
    first_pts=0,
):
    """A clip in any container FFmpeg writes, as bytes."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, options={"threads": "1", **(options or {})})
        (stream.height, stream.width), stream.pix_fmt = size, pixel_format
        stream.codec_context.flags |= flags
        for index, frame in enumerate(numbered_frames(count, *size)):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixel_format)
            picture.pts, picture.time_base = first_pts + index, Fraction(1, rate)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return file.getvalue()


def sound_file(container="wav", codec="pcm_s16le", clip=None):
    """A file with sound only, as bytes."""
    clip = clip or tone()
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(
            codec, rate=clip.sample_rate, layout="mono" if clip.data.shape[1] == 1 else "stereo"
        )
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(clip.data.T), format="fltp", layout=stream.layout.name
        )
        frame.sample_rate, frame.pts = clip.sample_rate, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()
