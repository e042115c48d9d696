"""Stage 1 and distillation by ``kinema train``, on lists of videos, with small teachers in files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from command_line import run

from kinema.models.internvideo2.start import start_student
from kinema.models.internvideo2.student import StudentConfig
from kinema.models.internvideo2.vision_checkpoint import load_student, save_vision
from kinema.models.internvideo2.vision_keys import videomae_keymap
from kinema.modules.vision.internvideo2 import InternVideo2VisionConfig
from kinema.modules.vision.videomae import VideoMAE, VideoMAEConfig
from kinema.recipes import internvideo2_teachers
from kinema.recipes.internvideo2_students import K_MASH_1M, K_MASH_2M
from kinema.recipes.recipe import Request
from kinema.recipes.registry import find_recipe
from kinema.toybox import make_scene, write_clip

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_layers": 4, "num_heads": 2, "patch_size": 14}
STUDENT = StudentConfig(
    vision=InternVideo2VisionConfig(**SIZES, image_size=28),
    pooled_size=6,
    clip_layers=2,
    clip_size=16,
    clip_pooled_size=6,
    mae_layers=2,
    mae_size=384,
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    """Students of both kinds, and their teachers."""
    root = tmp_path_factory.mktemp("parts")
    frame = replace(STUDENT, vision=replace(STUDENT.vision, num_frames=1), mae_layers=0)
    film = replace(STUDENT, vision=replace(STUDENT.vision, num_frames=4), mae_layers=0)
    students = {"student": STUDENT, "small": replace(STUDENT, mae_layers=0), "frame": frame, "film": film}
    for seed, (name, config) in enumerate(students.items()):
        save_vision(start_student(config, seed), root / name)
    motion = VideoMAE(VideoMAEConfig(**{**SIZES, "hidden_size": 384, "num_heads": 6}))
    torch.save({"model": dict(videomae_keymap(14).export(motion.state_dict()))}, root / "motion.pth")
    return root


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Four films of the toybox in a list of stage 1's form."""
    root = tmp_path_factory.mktemp("videos")
    for seed in range(4):
        write_clip(make_scene(seed, level=1), root / f"{seed}.mp4", fps=4)
    (root / "videos.txt").write_text("".join(f"toybox {seed}.mp4 -1 -1 -1 0\n" for seed in range(4)))
    return root / "videos.txt"


def train(recipe: str, videos: Path, out: Path, *more: object):
    how = ("--device", "cpu", "--workers", 0, "--batch-size", 2, "--epochs", 1)
    return run("train", recipe, "--data", videos, "--out", out, *how, *more)


def moved(before: Path, after: Path) -> set[str]:
    first, second = (load_student(folder).state_dict() for folder in (before, after))
    return {name for name in first if not first[name].equal(second[name])}


def test_stage_1_learns_two_steps_from_a_list_of_videos(parts, videos, tmp_path):
    begin = [
        option
        for name, file in (("student", "student"), ("clip_teacher", "frame"), ("mae_teacher", "motion.pth"))
        for option in ("--part", f"{name}={parts / file}")
    ]
    faster = ("--set", "stage.stage1_1b.learning_rates.vision_encoder=0.1")
    outcome = train("internvideo2_stage1_1b", videos, tmp_path, *begin, *faster)
    assert outcome.exit_code == 0, outcome.stderr
    names = moved(parts / "student", tmp_path / "stage1_1b")
    assert {name.split(".")[0] for name in names} >= {"vision_encoder", "clip_decoders", "mae_decoders"}
    stage = yaml.safe_load((tmp_path / "run.yaml").read_text())["stages"]["stage1_1b"]
    assert stage["num_steps"] == 2
    assert stage["loss"]["clip_teacher"]["source"] == str(parts / "frame")
    assert stage["processor"]["size"] == 28


def test_a_small_model_learns_two_steps_of_a_larger_one(parts, videos, tmp_path):
    begin = ("--part", f"student={parts / 'small'}", "--part", f"teacher={parts / 'film'}")
    nearer = ("--set", "stage.distil_s14.loss.clip_teacher.interval=1.5")
    outcome = train("internvideo2_distil_s14", videos, tmp_path, *begin, *nearer)
    assert outcome.exit_code == 0, outcome.stderr
    assert moved(parts / "small", tmp_path / "distil_s14")


def test_a_plan_reads_no_teacher_and_no_video(tmp_path):
    (tmp_path / "videos.txt").write_text("gone.mp4 3\n" * 8)
    begin = ("--part", "clip_teacher=nowhere.pth", "--part", "mae_teacher=nowhere.pth")
    outcome = train(
        "internvideo2_stage1_1b", tmp_path / "videos.txt", tmp_path / "out", *begin, "--dry-run", "--json"
    )
    (stage,) = outcome.document["stages"]
    assert (stage["num_steps"], stage["batch_size"]) == (4, 2)
    assert outcome.document["num_parameters"] == 1_070_042_752
    assert not (tmp_path / "out").exists()


def test_teachers_are_needed(videos, tmp_path):
    outcome = train("internvideo2_stage1_1b", videos, tmp_path / "out")
    assert outcome.exit_code != 0
    assert "begins from its parts alone: --part clip_teacher=..." in outcome.stderr


def test_the_published_lists_make_the_sums_that_the_paper_states():
    assert [len(data) for data in (K_MASH_1M, K_MASH_2M)] == [1_100_000, 1_999_000]


def test_the_published_run_is_that_of_the_script():
    (stage,) = find_recipe("internvideo2_stage1_6b").stages(Request())
    assert (stage.batch_size, stage.num_steps) == (2048, 1_999_000 // 2048 * 301)
    assert isinstance(stage.loss.clip_teacher, internvideo2_teachers.StoredFrameTeacher)
    assert (stage.loss.clip_teacher.num_layers, stage.loss.mae_teacher.num_layers) == (6, 4)


def test_rates_follow_the_batch_and_warm_up_keeps_its_share(videos):
    (stage,) = find_recipe("internvideo2_distil_l14").stages(
        Request(data={"distil_l14": (str(videos),)}, batch_size=4, epochs=10)
    )
    assert set(stage.learning_rates.values()) == {1e-3 * 4 / 256}
    assert stage.schedule.warmup_ratio == pytest.approx(20 / 101)
