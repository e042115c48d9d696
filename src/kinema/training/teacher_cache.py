"""Teachers' features on disk, so that a teacher of billions of weights sees a clip once."""

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kinema.models.internvideo2.teachers import Teacher, TeacherFeatures, join_features


class CachedTeacher:
    """A teacher that remembers clips by their pixels; for clips that are read the same way every time.

    A clip that is cropped or sampled anew in each epoch is a new clip. A folder belongs to one teacher.
    Features take much room: of an 8-frame clip and the published teachers, 80 MB in bfloat16."""

    def __init__(self, teacher: Teacher, folder: Path, *, dtype: torch.dtype = torch.bfloat16) -> None:
        """Put a folder before a teacher.

        Args:
            teacher: asked for the clips that the folder lacks.
            folder: made where it does not exist; processes may share it.
            dtype: of what is stored; what is given back is float32.
        """
        self.teacher, self.folder, self.dtype = teacher, folder, dtype
        folder.mkdir(parents=True, exist_ok=True)

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

    def _store(self, features: TeacherFeatures, path: Path) -> None:
        tensors = {
            name: tensor.to("cpu", self.dtype).contiguous()
            for name, tensor in features._asdict().items()
            if tensor is not None
        }
        unfinished = path.with_suffix(f".{os.getpid()}")
        save_file(tensors, unfinished)
        unfinished.replace(path)

    def _read(self, path: Path, device: torch.device) -> TeacherFeatures:
        return TeacherFeatures(**{name: x.to(device, torch.float32) for name, x in load_file(path).items()})


def _fingerprint(clip: Tensor) -> str:
    digest = hashlib.sha256(repr((tuple(clip.shape), clip.dtype)).encode())
    digest.update(clip.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
