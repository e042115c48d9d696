"""Records of WavCaps (arXiv 2303.17395; cvssp/WavCaps, ``json_files``): sounds with captions.

A file holds ``{"num_captions_per_audio": 1, "data": [{"id": ..., "caption": ..., "duration": ...}, ...]}``,
or the list alone, as in the metadata of XinhaoMei/WavCaps. Several captions of a sound, as in its files of
Clotho, are ``caption_1`` and so on. A record that says where its sound is, says so in ``audio``; of others it
is ``<id>.flac``, as the published archives unpack, AudioSet's ids without their ``.wav``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinema.datasets.records import Record, read_json_records
from kinema.errors import DataError
from kinema.processors.messages import AudioPart, Conversation, Message, TextPart

AUDIO_CAPTION_PROMPT = "Describe the sound in one sentence."
"""What the captions are the answers to; the paper does not tell its own."""


@dataclass(frozen=True, kw_only=True)
class WavCapsFile:
    """The records of one source, and where its sounds are."""

    records: Path
    audio_dir: Path


@dataclass(frozen=True, kw_only=True)
class WavCapsRecords:
    """A finite data set; sample i is caption i of the files put end to end."""

    files: tuple[WavCapsFile, ...]
    """Read when the first record is asked for."""
    prompt: str = AUDIO_CAPTION_PROMPT
    most_seconds: float | None = None
    """Longer sounds are left out, by the length that their records state; None for none."""
    excluded: frozenset[str] = frozenset()
    """Ids that are left out, such as those of the published blacklists, which are test sounds of others."""

    def __len__(self) -> int:
        return len(self._captions)

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """A sound, and its caption as the answer to ``prompt``."""
        sound, caption = self._captions[index]
        asked = Message(role="user", parts=(AudioPart(source=sound), TextPart(text=self.prompt)))
        return Conversation(messages=(asked, Message(role="assistant", parts=(TextPart(text=caption),))))

    @cached_property
    def _captions(self) -> Sequence[tuple[Path, str]]:
        """Sound and caption of every sample.

        Raises:
            DataError: if a record is malformed, naming file and number, or none is left.
        """
        kept = []
        for file in self.files:
            for record in read_json_records(file.records, "data"):
                fields = _fields(record)
                if str(fields["id"]) in self.excluded or self._is_too_long(record):
                    continue
                sound = file.audio_dir / _file_name(fields)
                kept += [(sound, caption) for caption in _texts(record)]
        if not kept:
            names = ", ".join(str(file.records) for file in self.files) or "no file"
            raise DataError(f"no record of {names} is left; raise most_seconds, or exclude less.")
        return kept

    def _is_too_long(self, record: Record) -> bool:
        if self.most_seconds is None:
            return False
        duration_s = record.data.get("duration")
        if not isinstance(duration_s, int | float):
            raise record.error(f"it needs 'duration' in seconds to be chosen by it, got {duration_s!r}.")
        return duration_s > self.most_seconds


def _fields(record: Record) -> Mapping[str, Any]:
    if not isinstance(record.data, Mapping) or not isinstance(record.data.get("id"), str | int):
        raise record.error(f"it must be an object with an 'id', got {record.data!r}.")
    return record.data


def _file_name(fields: Mapping[str, Any]) -> str:
    if isinstance(fields.get("audio"), str):
        return str(fields["audio"])
    return str(fields["id"]).removesuffix(".wav") + ".flac"


def _texts(record: Record) -> list[str]:
    names = sorted(name for name in record.data if name == "caption" or name.startswith("caption_"))
    texts = [record.data[name] for name in names]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise record.error(f"it needs 'caption', or 'caption_1' and so on, with words in them; got {texts}.")
    return texts
