"""Annotations of VIDAL-10M, which LanguageBind learned from (arXiv 2310.01852), or one's own in that form.

    {"R8Bs5PzNy0I": {"folder": "coco_vat", "raw": "Title #tag", "mplug": "...", "polish_mplug": "...",
                     "sound_mplug": "...", "ofa": ["...", 7 more]}, ...}

Under an id stand the folder of its media and its texts; which text a model learns from is a setting. Form,
file names and shares are those of PKU-YuanGroup/LanguageBind (``data/base_datasets.py``,
``process_text.py``), which puts a random other record in place of a broken one; here that is an error.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from kinema.datasets.records import Record
from kinema.errors import ConfigError, DataError
from kinema.processors.messages import (
    AudioPart,
    Conversation,
    ImagePart,
    Message,
    Part,
    TextPart,
    VideoPart,
)

VidalModality = Literal["video", "thermal", "depth", "audio"]
VidalText = Literal["raw", "mplug", "polish_mplug", "sound_mplug", "ofa", "mix"]
"""Title and hashtags; the caption of a video model, as it is, polished, and polished with what is heard; one
of the captions of eight key frames; or each of these five in a fifth of the cases."""

NUM_KEY_FRAMES = 8
"""Pictures of a clip that have a caption, a depth map and a heat map each."""

_TEXTS = ("raw", "mplug", "polish_mplug", "sound_mplug", "ofa")
_AUDIO_ENDINGS = ("mp3", "wav", "m4a")
_PUNCTUATION = ".,;:?!'\"|"
_PLATFORM_WORDS = re.compile(
    "#video|video|#shorts|shorts| shorts|#short| short|#youtubeshorts|youtubeshorts|#youtube| youtube|"
    "#shortsyoutube|#ytshorts|ytshorts|#ytshort|#shortvideo|shortvideo|#shortsfeed|#tiktok|tiktok|"
    "#tiktokchallenge|#myfirstshorts|#myfirstshort|#viral|viralvideo|viral|#viralshorts|#virlshort|"
    "#ytviralshorts"
)


@dataclass(frozen=True, kw_only=True)
class VidalRecords:
    """A data set of pairs; sample i is record i of the files put end to end, and then all of them again."""

    files: tuple[Path, ...]
    """``.json``; read when the first record is asked for."""
    media_dir: Path | None
    """Holds the folders that records name; None is the folder of each file. In them lie ``ID.mp4``,
    ``ID_depth_f8glpn_folder/0.png`` to ``7.png``, ``ID_thermal_folder/0.jpg`` to ``7.jpg``; sound is
    ``ID.mp3`` in ``FOLDER_ffmpeg_mp3`` beside the folder, or ``ID.mp3``, ``.wav`` or ``.m4a`` in it."""
    modality: VidalModality
    text: VidalText = "polish_mplug"
    """Which text belongs to the media; the default is that of the published runs."""

    def __post_init__(self) -> None:
        for name, kinds in (("modality", VidalModality), ("text", VidalText)):
            if getattr(self, name) not in get_args(kinds):
                raise ConfigError(
                    f"{name} must be one of {', '.join(get_args(kinds))}, got {getattr(self, name)!r}."
                )

    def __len__(self) -> int:
        return len(self._records)

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """What one record shows, and its text as the answer.

        The key frame of a depth or heat map is drawn, and is that of the text where the text is of one.

        Raises:
            DataError: if the text or the file is not there, naming file, number and id of the record.
        """
        name, record = self._records[index % len(self._records)]
        kind = _TEXTS[rng.integers(len(_TEXTS))] if self.text == "mix" else self.text
        key_frame = int(rng.integers(NUM_KEY_FRAMES))
        text = _text(record, name, kind, key_frame)
        shown = Message(role="user", parts=(self._part(record, name, key_frame),))
        return Conversation(messages=(shown, Message(role="assistant", parts=(TextPart(text=text),))))

    @cached_property
    def _records(self) -> Sequence[tuple[str, Record]]:
        records = [named for file in self.files for named in _read(file)]
        if not records:
            raise DataError(f"there is no record in {', '.join(map(str, self.files)) or 'no file'}.")
        return records

    def _part(self, record: Record, name: str, key_frame: int) -> Part:
        media_dir = Path(record.file).parent if self.media_dir is None else self.media_dir
        folder = media_dir / record.data["folder"]
        if self.modality == "audio":
            names = [folder / f"{name}.{ending}" for ending in _AUDIO_ENDINGS]
            beside = folder.with_name(f"{folder.name}_ffmpeg_mp3") / f"{name}.mp3"
            return AudioPart(source=_existing([beside, *names], record, name))
        if self.modality == "video":
            return VideoPart(source=_existing([folder / f"{name}.mp4"], record, name))
        if self.modality == "depth":
            depth = folder / f"{name}_depth_f8glpn_folder" / f"{key_frame}.png"
            return ImagePart(source=_existing([depth], record, name), modality="depth")
        heat = folder / f"{name}_thermal_folder" / f"{key_frame}.jpg"
        return ImagePart(source=_existing([heat], record, name), modality="thermal")


def is_vidal(file: Path) -> bool:
    """Whether a file holds annotations of VIDAL: one object of id to record, and no row of records a line.

    Raises:
        DataError: if it cannot be read as text.
    """
    try:
        with file.open(encoding="utf-8") as text:
            return bool(re.match(r'\s*\{\s*"[^"]*"\s*:\s*\{', text.read(4096)))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: it cannot be read as text: {error}.") from error


def clean_title(raw: str) -> str:
    """A title and its hashtags as published: lower case, without words of the platform, joined by a comma.

    ``"My DOG runs! #shorts #cute dog"`` becomes ``"my dog runs!, cute dog"``.
    """
    title, _, hashtags = raw.partition("#")
    cleaned = _cleaned(title, kept=_PUNCTUATION), _cleaned(f"#{hashtags}", kept="")
    return ", ".join(cleaned).strip()


def _cleaned(text: str, *, kept: str) -> str:
    text = _PLATFORM_WORDS.sub(" ", text.lower() + " ")
    text = re.sub(" s |short|youtube|virlshort|#", " ", text)
    return " ".join(re.sub(rf"[^a-zA-Z0-9\s{kept}]", "", text).split())


def _read(file: Path) -> list[tuple[str, Record]]:
    """Id and record, in order."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: it cannot be read as JSON: {error}.") from error
    if not isinstance(content, Mapping):
        raise DataError(
            f"{file}: annotations of VIDAL are an object of id to record, got {type(content).__name__}."
        )
    named = []
    for index, (name, data) in enumerate(content.items()):
        record = Record(data=data, file=str(file), index=index)
        if not isinstance(data, Mapping) or not isinstance(data.get("folder"), str):
            raise record.error(f"{name}: it must be an object with a 'folder', got {data!r}.")
        named.append((name, record))
    return named


def _text(record: Record, name: str, kind: str, key_frame: int) -> str:
    text = record.data.get(kind)
    if kind == "ofa":
        if not isinstance(text, list) or len(text) != NUM_KEY_FRAMES:
            raise record.error(f"{name}: 'ofa' must be a list of {NUM_KEY_FRAMES} captions, got {text!r}.")
        text = text[key_frame]
    if isinstance(text, str) and kind == "raw":
        text = clean_title(text)
    if not isinstance(text, str) or not text.strip(" ,"):
        has = ", ".join(key for key in _TEXTS if key in record.data) or "no text"
        raise record.error(f"{name}: there are no words in its {kind!r}; it has {has}.")
    return text


def _existing(paths: Sequence[Path], record: Record, name: str) -> Path:
    for path in paths:
        if path.is_file():
            return path
    raise record.error(f"{name}: there is no {' nor '.join(map(str, paths))}.")
