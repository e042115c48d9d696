"""Films of which some are trouble to whoever reads them, and a processor that reads one after another."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from kinema.errors import DataError
from kinema.processors.collate import Sample, pack_samples, pad_samples
from kinema.processors.inputs import ModelInputs
from kinema.processors.messages import Conversation, Message, TextPart, VideoPart

Trouble = Callable[[], object]


def sleep_for_ever() -> None:
    """What Python waits for."""
    time.sleep(1e6)


def pause_in_native_code() -> None:
    """What Python never hears of again: the call holds its lock."""
    while True:
        ctypes.PyDLL(None).pause()


def die() -> None:
    """What a system without memory does to a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    """A record that says nothing."""
    raise DataError("records.json, record 7: nobody answers in it.")


@dataclass(frozen=True)
class ReadsPipe:
    """FFmpeg at a pipe into which nobody writes, behind the check of ``media`` that files are plain."""

    path: Path

    def __call__(self) -> None:
        if not self.path.exists():
            os.mkfifo(self.path)
        av.open(str(self.path))


@dataclass(frozen=True)
class Films:
    """Sample i shows film i and says the first ``lengths[i % n]`` letters."""

    lengths: Sequence[int] = (4,)

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        text = "".join(chr(97 + place % 26) for place in range(self.lengths[index % len(self.lengths)]))
        film = VideoPart(source=f"film{index}.mp4")
        return Conversation(messages=(Message(role="user", parts=(film, TextPart(text=text))),))


@dataclass(frozen=True)
class LettersOneByOne:
    """A letter is a token; nothing is seen of films, but some of them are trouble."""

    trouble: Mapping[int, Trouble] = field(default_factory=dict)

    def read(self, conversation: Conversation) -> Sample:
        film, text = conversation.messages[0].parts
        number = int(film.source.removeprefix("film").removesuffix(".mp4"))
        if number in self.trouble:
            self.trouble[number]()
        ids = torch.tensor([ord(letter) - 97 for letter in text.text])
        return Sample(input_ids=ids, visual_mask=torch.zeros_like(ids, dtype=torch.bool), labels=ids)

    def collate(self, samples: Sequence[Sample]) -> ModelInputs:
        return pad_samples(samples, 0)

    def pack(self, samples: Sequence[Sample]) -> ModelInputs:
        return pack_samples(samples)

    def __call__(self, conversations: Sequence[Conversation], *, with_labels: bool) -> ModelInputs:
        return self.collate([self.read(talk) for talk in conversations])

    def with_settings(self, **settings: Any) -> "LettersOneByOne":
        return self
