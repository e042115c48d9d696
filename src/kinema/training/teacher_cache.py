"""Teachers' features on disk, so that a teacher of billions of weights sees a clip once.

A clip is known by its pixels, so what is cropped, mirrored or sampled in another way is another clip and
never gets features of the first. That is also why clips must be drawn once (``datasets.drawn_once``): one
that is drawn anew in each epoch is never found again. A folder notes its teacher's weights and settings.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kinema.errors import ConfigError
from kinema.models.internvideo2.teachers import TeacherFeatures, TeacherModule, join_features

_RECORD = "teacher.txt"


class CachedTeacher:
    """A teacher that remembers clips by their pixels.

    Features take much room: of an 8-frame clip and the published teachers, 80 MB in bfloat16."""

    def __init__(self, teacher: TeacherModule, folder: Path, *, dtype: torch.dtype = torch.bfloat16) -> None:
        """Put a folder before a teacher.

        Args:
            teacher: asked for the clips that the folder lacks.
            folder: made where it does not exist; processes may share it.
            dtype: of what is stored; what is given back is float32.

        Raises:
            ConfigError: if the folder holds features of another teacher, or in another dtype.
        """
        self.teacher, self.folder, self.dtype = teacher, folder, dtype
        folder.mkdir(parents=True, exist_ok=True)
        self._claim()

    def __call__(self, pixel_values: Tensor) -> TeacherFeatures:
        """Features of (B, T, 3, H, W), all read or computed and stored."""
        paths = [self.folder / f"{_fingerprint(clip)}.safetensors" for clip in pixel_values]
        unseen = [index for index, path in enumerate(paths) if not path.exists()]
        if unseen:
            taught = self.teacher(pixel_values[unseen])
            for place, index in enumerate(unseen):
                self._store(taught.clip(place), paths[index])
        return join_features([self._read(path, pixel_values.device) for path in paths])

    def to(self, device: torch.device) -> "CachedTeacher":
        """Move the teacher."""
        self.teacher.to(device)
        return self

    def _claim(self) -> None:
        """Note in the folder whose features it holds, or find that they are ours."""
        path, ours = self.folder / _RECORD, f"{teacher_identity(self.teacher)} {self.dtype}"
        theirs = ours
        if path.exists():
            theirs = path.read_text(encoding="utf-8")
        elif any(self.folder.glob("*.safetensors")):
            theirs = "a teacher that is not noted"
        if theirs != ours:
            raise ConfigError(
                f"{self.folder} holds features of {theirs}, and this teacher is {ours}. A folder belongs to "
                "one teacher and one dtype; take another folder."
            )
        _write(path, lambda unfinished: unfinished.write_text(ours, encoding="utf-8"))

    def _store(self, features: TeacherFeatures, path: Path) -> None:
        tensors = {
            name: tensor.to("cpu", self.dtype).contiguous()
            for name, tensor in features._asdict().items()
            if tensor is not None
        }
        _write(path, lambda unfinished: save_file(tensors, unfinished))

    def _read(self, path: Path, device: torch.device) -> TeacherFeatures:
        return TeacherFeatures(**{name: x.to(device, torch.float32) for name, x in load_file(path).items()})


def teacher_identity(teacher: TeacherModule) -> str:
    """A digest of all that a teacher's features depend on, beside the clip: kind, settings and weights."""
    digest = hashlib.sha256(repr((type(teacher).__name__, teacher.settings)).encode())
    for name, tensor in teacher.state_dict().items():
        digest.update(name.encode())
        _update(digest, tensor)
    return digest.hexdigest()[:16]


def _fingerprint(clip: Tensor) -> str:
    digest = hashlib.sha256()
    _update(digest, clip)
    return digest.hexdigest()


def _update(digest: "hashlib._Hash", tensor: Tensor) -> None:
    digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
    digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """A file that is there when all of it is."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    write(unfinished)
    unfinished.replace(path)
