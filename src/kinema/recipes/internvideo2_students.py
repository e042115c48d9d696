"""InternVideo2's stage 1 and the distillation of its small models as recipes, for videos of one's own.

Settings are those of ``internvideo2_stage1``; the counts of the data are those of arXiv 2403.15377, Table 21.

    kinema train internvideo2_stage1_1b --part clip_teacher=internvl_c_13b_224px.pth \
        --part mae_teacher=vit_g_hybrid_1200e_pre.pth --data videos.txt --media data --batch-size 64

docs/training.md walks through it.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from kinema.datasets.action_lists import open_lists
from kinema.hub.download import SETTINGS_FILES
from kinema.hub.files import read_json
from kinema.models.internvideo2.config_json import parse_config
from kinema.models.internvideo2.file_kinds import STUDENT_TYPE
from kinema.models.internvideo2.start import start_student
from kinema.models.internvideo2.student import InternVideo2Student, StudentConfig
from kinema.models.internvideo2.vision_checkpoint import load_student, save_vision
from kinema.models.loaded import Loaded
from kinema.models.registry import find_checkpoint
from kinema.processors.clip_training import ClipTraining, ClipTrainingConfig
from kinema.recipes.internvideo2_stage1 import DISTILLED, STAGE1, Published, distil, stage1
from kinema.recipes.internvideo2_teachers import (
    StoredClipTeacher,
    StoredFrameTeacher,
    StoredMotionTeacher,
)
from kinema.recipes.published_data import PublishedData, data
from kinema.recipes.recipe import (
    Finite,
    Outline,
    Recipe,
    Request,
    StageBuilder,
    expect_full_batch,
    mixture_of,
)
from kinema.training.stage import Stage

_COMMON = (
    data("clips of actions", 0.658, "Kinetics-710"),
    data("clips of hands and things", 0.169, "Something-Something V2"),
    data("parts of long videos", 0.121, "HACS", "ActivityNet"),
)
K_MASH_1M = PublishedData(groups=(*_COMMON, data("short clips", 0.152, "Moments in Time")))
_YOUTUBE = "self-collected of YouTube"
K_MASH_2M = PublishedData(
    groups=(
        *_COMMON,
        data("short clips", 0.207, "Moments in Time"),
        data("clips without classes", 0.844, _YOUTUBE, not_public=(_YOUTUBE,)),
    )
)
"""K-Mash, of which no list was released; classes are not learned of."""

_STUDENT = "a student to go on from: OpenGVLab/InternVideo2-Stage1-1B-224p-f8, or a folder"
TEACHERS = {
    "clip_teacher": "InternVL-C's internvl_c_13b_224px.pth",
    "mae_teacher": "VideoMAE V2-g's vit_g_hybrid_1200e_pre.pth",
}
TEACHER = {"teacher": "OpenGVLab/InternVideo2-Stage2_1B-224p-f4"}


def _stage1(size: str, name: str, source: Finite | PublishedData, request: Request) -> Stage:
    """Stage 1, as ``StageBuilder`` has it."""
    published = _asked(name, STAGE1[size], source, request)
    named = {**TEACHERS, **request.parts}
    (stage,) = stage1(
        size,
        mixture_of(source),
        len(source),
        clip_teacher=StoredFrameTeacher(
            source=named["clip_teacher"], num_layers=published.student.clip_layers
        ),
        mae_teacher=StoredMotionTeacher(source=named["mae_teacher"], num_layers=published.student.mae_layers),
        published=published,
    )
    return replace(stage, name=name)


def _distil(size: str, name: str, source: Finite | PublishedData, request: Request) -> Stage:
    """Distillation, as ``StageBuilder`` has it."""
    published = _asked(name, DISTILLED[size], source, request)
    student = published.student
    teacher = StoredClipTeacher(
        source={**TEACHER, **request.parts}["teacher"],
        num_layers=student.clip_layers,
        num_frames=student.vision.num_frames,
    )
    (stage,) = distil(size, mixture_of(source), len(source), teacher=teacher, published=published)
    return replace(stage, name=name)


def _asked(name: str, published: Published, source: Finite | PublishedData, request: Request) -> Published:
    """The published settings but for what somebody asks otherwise."""
    asked = published.changed(
        student=_config(published, request), batch_size=request.batch_size, epochs=request.epochs
    )
    expect_full_batch(name, len(source), asked.batch_size)
    return asked


def _config(published: Published, request: Request) -> StudentConfig:
    """Sizes of the student; of one to go on from those that its folder tells, if it tells any."""
    if (source := request.parts.get("student")) is None:
        return published.student
    config = find_checkpoint(source, files=SETTINGS_FILES) / "config.json"
    if not config.is_file():
        return published.student
    return parse_config(read_json(config), STUDENT_TYPE, StudentConfig)


def _outline(published: Published, request: Request) -> Outline:
    with torch.device("meta"):
        return Outline(model=InternVideo2Student(_config(published, request)))


def _start(published: Published, request: Request) -> Loaded[InternVideo2Student, ClipTraining]:
    if (source := request.parts.get("student")) is None:
        student, folder = start_student(published.student, request.seed), Path()
    else:
        folder = find_checkpoint(source)
        student = load_student(folder, dtype=torch.float32)
    processor = ClipTraining(ClipTrainingConfig())
    return Loaded(model=student, processor=processor, generation=None, folder=folder)


def _save(loaded: Loaded[InternVideo2Student, ClipTraining], folder: Path) -> None:
    save_vision(loaded.model, folder)


def _recipe(
    name: str,
    summary: str,
    published: Published,
    stage: StageBuilder,
    learned: PublishedData,
    teachers: dict[str, str],
) -> Recipe:
    return Recipe(
        name=f"internvideo2_{name}",
        summary=f"InternVideo2 {summary} (arXiv 2403.15377)",
        data={name: learned},
        parts=teachers,
        optional_parts={"student": _STUDENT},
        takes_model=False,
        twin="nano_internvideo2",
        outline=partial(_outline, published),
        start=partial(_start, published),
        open_data=open_lists,
        stage=stage,
        save=_save,
    )


def _alone(size: str, learned: PublishedData) -> Recipe:
    summary = f"{size.upper()}, stage 1: what two teachers see"
    return _recipe(f"stage1_{size}", summary, STAGE1[size], partial(_stage1, size), learned, TEACHERS)


def _small(size: str) -> Recipe:
    name, summary = f"distil_{size}", f"{size.upper()}: what the 1B sees after stage 2"
    return _recipe(name, summary, DISTILLED[size], partial(_distil, size), K_MASH_1M, TEACHER)


INTERNVIDEO2_STAGE1_1B = _alone("1b", K_MASH_1M)
INTERNVIDEO2_STAGE1_6B = _alone("6b", K_MASH_2M)
INTERNVIDEO2_DISTIL_S14 = _small("s14")
INTERNVIDEO2_DISTIL_B14 = _small("b14")
INTERNVIDEO2_DISTIL_L14 = _small("l14")
