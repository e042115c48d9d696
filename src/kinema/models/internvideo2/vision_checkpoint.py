"""Vision networks of InternVideo2 from files and into folders, strictly: every tensor is claimed by name.

A source is a published file (``.pth``, ``.pt`` or safetensors), whose sizes are read from its shapes, or a
folder that ``save_vision`` wrote. Both hold the official names.
"""

from dataclasses import replace
from pathlib import Path

import torch

from kinema.hub.config_fields import required_field
from kinema.hub.files import TensorSource, read_json
from kinema.hub.keymap import Ignore, KeyMap, Rule
from kinema.hub.write import MAX_SHARD_BYTES, dtype_name
from kinema.models.internvideo2.classifier import ClassifierConfig, InternVideo2Classifier
from kinema.models.internvideo2.config_json import build_config, write_config
from kinema.models.internvideo2.file_kinds import CLASSIFIER_TYPE, STUDENT_TYPE
from kinema.models.internvideo2.folders import write_folder
from kinema.models.internvideo2.student import InternVideo2Student, StudentConfig
from kinema.models.internvideo2.vision_keys import (
    PREFIX,
    classifier_keymap,
    ignored_decoders,
    ignored_of_stage2,
    student_keymap,
    student_rules,
    tower_rules,
    videomae_keymap,
)
from kinema.models.internvideo2.vision_shapes import (
    classifier_sizes,
    pooled_size,
    student_sizes,
    videomae_sizes,
    vision_sizes,
)
from kinema.models.internvideo2.weights import load_network, open_own, sizes_of
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig
from kinema.modules.vision.videomae import AttentionForm, VideoMAE


def load_student(
    source: Path,
    *,
    image_size: int = 224,
    num_heads: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> InternVideo2Student:
    """An encoder with its decoders: of stage 1, of the vision part of stage 2, or a distilled one.

    Args:
        source: a file or a folder; of stage 2, a file of the whole model.
        image_size: of the position tables, where no ``config.json`` tells.
        num_heads: of the encoder, where no ``config.json`` tells; None for the published sizes.
        dtype: what to cast the weights to as they are read; None keeps what the file has.
        device: where the weights go, tensor by tensor.

    Raises:
        WeightsError: if anything is missing, left over or of another shape, naming it.
    """
    files = open_own(source)
    prefix = _prefix(files)
    config = sizes_of(
        source,
        STUDENT_TYPE,
        StudentConfig,
        lambda: student_sizes(files.shapes, prefix=prefix, image_size=image_size, num_heads=num_heads),
    )
    beside = ignored_of_stage2() if prefix else ()
    rules = student_rules(config.vision.patch_size, theirs=prefix)
    keymap = KeyMap("InternVideo2 pre-training", (*rules, *beside))
    return load_network(lambda: InternVideo2Student(config), keymap, files, dtype, device)


def load_tower(
    source: Path,
    *,
    image_size: int = 224,
    num_heads: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> InternVideo2Tower:
    """The encoder and its pool alone, out of a file of any stage; arguments and errors as for
    ``load_student``.

    InternVL's file has it too: it is stage 1's CLIP teacher.
    """
    files = open_own(source)
    prefix = _prefix(files)
    vision = _saved_vision(source)
    if vision is None:
        vision = vision_sizes(files.shapes, prefix=prefix, image_size=image_size, num_heads=num_heads)
    beside: tuple[Rule, ...] = ignored_of_stage2() if prefix else _IGNORED_OF_FLAT_FILES
    rules = (*tower_rules(vision.patch_size, theirs=prefix, ours=""), *ignored_decoders(prefix), *beside)
    keymap = KeyMap("InternVideo2 vision tower", rules)
    width = pooled_size(files.shapes, prefix=prefix)
    return load_network(lambda: InternVideo2Tower(vision, width), keymap, files, dtype, device)


def load_classifier(
    source: Path,
    *,
    image_size: int = 224,
    num_heads: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> InternVideo2Classifier:
    """A fine-tuned or probed encoder with its head; arguments and errors as for ``load_student``."""
    files = open_own(source)
    config = sizes_of(
        source,
        CLASSIFIER_TYPE,
        ClassifierConfig,
        lambda: classifier_sizes(files.shapes, image_size=image_size, num_heads=num_heads),
    )
    keymap = classifier_keymap(config.vision.patch_size)
    return load_network(lambda: InternVideo2Classifier(config), keymap, files, dtype, device)


def load_videomae(
    source: Path,
    *,
    num_heads: int | None = None,
    attention: AttentionForm = "standard",
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> VideoMAE:
    """VideoMAE V2's encoder, stage 1's MAE teacher; other arguments and errors as for ``load_student``."""
    files = open_own(source)
    config = replace(videomae_sizes(files.shapes, num_heads=num_heads), attention=attention)
    keymap = videomae_keymap(config.patch_size)
    return load_network(lambda: VideoMAE(config), keymap, files, dtype, device)


def save_vision(
    model: InternVideo2Student | InternVideo2Classifier,
    folder: Path,
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write weights under their official names, and a ``config.json`` beside them.

    Args:
        model: weights in one dtype.
        folder: new, or empty; it appears whole or not at all.
        max_shard_bytes: most bytes in one file of weights.

    Raises:
        WeightsError: if the folder holds something.
    """
    patch_size = model.config.vision.patch_size
    if isinstance(model, InternVideo2Student):
        keymap, model_type = student_keymap(patch_size), STUDENT_TYPE
    else:
        keymap, model_type = classifier_keymap(patch_size), CLASSIFIER_TYPE
    content = write_config(model_type, model.config, dtype=dtype_name(model.parameters()))
    write_folder(folder, content, keymap.export(model.state_dict()), max_shard_bytes=max_shard_bytes)


_IGNORED_OF_FLAT_FILES = (
    Ignore("fc_norm.*", "it belongs to a classifier"),
    Ignore("head.*", "it belongs to a classifier"),
    Ignore("extra_mlp.**", "it belongs to a classifier"),
    Ignore("down.**", "it belongs to a classifier"),
    Ignore("down_norm.*", "it belongs to a classifier"),
    Ignore("transformer.**", "InternVL's text tower"),
    Ignore("text_projection", "InternVL's text tower"),
    Ignore("logit_scale", "InternVL's temperature"),
)


def _saved_vision(source: Path) -> InternVideo2VisionConfig | None:
    """Sizes of the encoder in a folder that we wrote, of whichever model it is a part; None of other
    sources."""
    path = source / "config.json"
    content = read_json(path) if path.is_file() else {}
    if not str(content.get("model_type")).startswith("internvideo2_"):
        return None
    fields = required_field(required_field(content, "sizes"), "vision")
    return build_config(InternVideo2VisionConfig, fields.get("vision", fields))  # of a student, or its own


def _prefix(files: TensorSource) -> str:
    """What stands before the names of the encoder: in files of whole models, it is a part."""
    return PREFIX if any(key.startswith(PREFIX) for key in files.shapes) else ""
