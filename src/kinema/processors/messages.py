"""One conversation type for the library, the command line, the server and the data sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, BinaryIO, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from kinema.errors import InputError
from kinema.media.frames import AudioClip, FrameBatch

Role = Literal["system", "user", "assistant", "stream"]

PictureModality = Literal["image", "depth", "thermal"]
"""What a picture shows: colours, distances (a grey map of 16 bits, in millimetres), or heat."""

Source = str | PathLike[str] | bytes | BinaryIO
"""Something ``media`` can open: a path, a URL, the bytes of a file, or an open binary file."""


@dataclass(frozen=True, kw_only=True)
class TextPart:
    """Plain text. Placeholders of a model in it are ordinary characters, never media."""

    text: str


@dataclass(frozen=True, kw_only=True)
class VideoFrame:
    """One frame of a video file, decoded when it is needed: what a recorded stream is made of."""

    source: Source
    pts_s: float
    """Presentation time; the nearest frame is taken."""


@dataclass(frozen=True, kw_only=True)
class ImagePart:
    """One still picture."""

    source: Source | VideoFrame | NDArray[np.uint8]
    """A source, a frame of a video, or uint8 RGB pixels (H, W, 3)."""
    time_s: float | None = None
    """When the picture was seen, in a stream; None outside of one."""
    modality: PictureModality = "image"

    def __post_init__(self) -> None:
        if self.modality not in get_args(PictureModality):
            raise InputError(
                f"a picture is one of {', '.join(get_args(PictureModality))}, not {self.modality!r}."
            )


@dataclass(frozen=True, kw_only=True)
class VideoPart:
    """A clip, whole or a range of it. What is None is left to the model's processor."""

    source: Source | FrameBatch | Sequence[str]
    """A source, a list of image files, or frames that are already decoded with their times."""
    fps: float | None = None
    max_frames: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    sampling: str | None = None
    """Name of a sampling policy of ``media.sample``."""


@dataclass(frozen=True, kw_only=True)
class AudioPart:
    """Sound from a sound file or from a video's own track."""

    source: Source | AudioClip
    start_s: float | None = None
    end_s: float | None = None


Part = TextPart | ImagePart | VideoPart | AudioPart


@dataclass(frozen=True, kw_only=True)
class Message:
    """One turn: who speaks, and the parts in order."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text parts, joined as they stand."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Turns in order."""

    messages: tuple[Message, ...]
    seed: int | None = None
    """Of what a processor draws of it in training, such as frames and crops; most draw nothing. None is
    filled in by the training loop, and draws nothing elsewhere."""

    def generator(self) -> torch.Generator | None:
        """What draws with torch, from the seed; None where nothing is drawn."""
        return None if self.seed is None else torch.Generator().manual_seed(self.seed)

    @classmethod
    def from_openai(cls, messages: Sequence[Mapping[str, Any]]) -> "Conversation":
        """Read OpenAI chat messages; see ``processors.dialects``, which also writes them."""
        from kinema.processors.dialects import from_openai

        return from_openai(messages)

    @classmethod
    def from_huggingface(cls, messages: Sequence[Mapping[str, Any]]) -> "Conversation":
        """Read Hugging Face chat messages; see ``processors.dialects``."""
        from kinema.processors.dialects import from_huggingface

        return from_huggingface(messages)

    @classmethod
    def from_sharegpt(cls, record: Mapping[str, Any]) -> "Conversation":
        """Read a ShareGPT or LLaVA record; see ``processors.dialects``."""
        from kinema.processors.dialects import from_sharegpt

        return from_sharegpt(record)
