"""Checkpoints of a run on disk: whole or not there at all."""

import errno
import json
import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from letters import LetterModel, LetterProcessor, letter_run, letter_stage
from torch import nn

from kinema.errors import TrainingError, WeightsError
from kinema.training.checkpoint import Checkpoints, Progress
from kinema.training.loop import train
from kinema.training.optimizer import OptimizerConfig, PartOptimizer, build_optimizer


class Tied(nn.Module):
    """A table that is read twice, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(4, 2)
        self.head = nn.Linear(2, 4, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))


def moved(model: nn.Module, rule: str = "adamw") -> PartOptimizer:
    """An optimizer of the embedding that has done a step."""
    optimizer = build_optimizer(model, {"embedding": 0.1}, OptimizerConfig(rule=rule))
    model.embedding.weight.sum().backward()
    optimizer.step(1.0)
    return optimizer


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_weights_buffers_and_the_optimizer_come_back(tmp_path):
    model = Tied()
    optimizer = moved(model)
    model.seen += 3
    Checkpoints(tmp_path, keep=2).save(model, optimizer, Progress(step=1, losses=(0.1,)))

    other = Tied()
    again = build_optimizer(other, {"embedding": 0.1}, OptimizerConfig())
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.progress().step == 1
    checkpoints.load(other, again)
    assert torch.equal(other.embedding.weight, model.embedding.weight)
    assert other.head.weight is other.embedding.weight
    assert other.seen == 3
    before, after = (one.optimizers[0].state_dict()["state"][0] for one in (optimizer, again))
    assert before.keys() == after.keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_parameter_that_never_had_a_gradient_has_no_state_to_come_back(tmp_path):
    model = LetterModel()
    rates = {"embedding": 0.1, "language_model": 0.1}
    optimizer = build_optimizer(model, rates, OptimizerConfig())
    model.embedding.weight.sum().backward()
    optimizer.step(1.0)
    Checkpoints(tmp_path, keep=1).save(model, optimizer, Progress(step=1))
    again = build_optimizer(model, rates, OptimizerConfig())
    Checkpoints(tmp_path, keep=1).load(model, again)
    assert list(again.optimizers[0].state) == [model.embedding.weight]


def test_the_last_ones_are_kept(tmp_path):
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=20)], letter_run(tmp_path))
    assert names(tmp_path) == ["stage0-step00000015", "stage0-step00000020"]
    more = letter_run(tmp_path / "more", keep_checkpoints=3)
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=20)], more)
    assert len(names(tmp_path / "more")) == 3


def test_slow_steps_are_saved_by_the_clock(tmp_path):
    run = letter_run(tmp_path, save_every=1000, save_every_s=1e-9, keep_checkpoints=99)
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=3)], run)
    assert names(tmp_path) == [f"stage0-step0000000{step}" for step in (1, 2, 3)]


def test_what_a_killed_process_had_begun_is_removed_and_what_it_had_finished_counts(tmp_path):
    Checkpoints(tmp_path, keep=2).save(LetterModel(), None, Progress(step=5))
    begun = tmp_path / "checkpoints/partial-stage0-step00000010"
    shutil.copytree(tmp_path / "checkpoints/stage0-step00000005", begun)
    Checkpoints(tmp_path, keep=2).remove_unfinished()
    assert not begun.exists()
    assert Checkpoints(tmp_path, keep=2).progress().step == 5


def synced_folders(monkeypatch, error: int | None = None) -> list[Path]:
    """The folders that are given to the disk from now on, by the names they have at that time."""
    synced, fsync = [], os.fsync

    def watching(number):
        if stat.S_ISDIR(os.fstat(number).st_mode):
            synced.append(Path(f"/proc/self/fd/{number}").readlink())
            if error is not None:
                raise OSError(error, os.strerror(error))
        fsync(number)

    monkeypatch.setattr(os, "fsync", watching)
    return synced


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells the name of an open folder")
def test_the_disk_knows_what_is_in_a_checkpoint_before_it_has_its_name(tmp_path, monkeypatch):
    synced, folder = synced_folders(monkeypatch), tmp_path / "checkpoints"
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(LetterModel(), None, Progress(step=5))
    assert synced == [folder / "partial-stage0-step00000005", folder, tmp_path]
    checkpoints.move_on(Progress(stage=1))
    assert synced[3:] == [folder / "stage0-step00000005"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells the name of an open folder")
def test_a_file_system_that_cannot_sync_folders_has_checkpoints_too(tmp_path, monkeypatch):
    synced = synced_folders(monkeypatch, errno.EINVAL)
    Checkpoints(tmp_path, keep=2).save(LetterModel(), None, Progress(step=5))
    assert len(synced) == 3
    assert Checkpoints(tmp_path, keep=2).progress().step == 5


def test_a_folder_without_progress_is_no_checkpoint(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 10):
        checkpoints.save(LetterModel(), None, Progress(step=step))
    (tmp_path / "checkpoints/stage0-step00000010/progress.json").unlink()
    assert checkpoints.progress().step == 5
    checkpoints.save(LetterModel(), None, Progress(step=10))
    assert checkpoints.progress().step == 10


def test_a_damaged_checkpoint_is_named_with_what_to_do(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(LetterModel(), None, Progress(step=5))
    (weights,) = (tmp_path / "checkpoints/stage0-step00000005").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(
        WeightsError, match=r"step00000005 cannot be read: .*go on from the checkpoint before it"
    ):
        checkpoints.load(LetterModel(), None)


def test_another_model_is_told_by_a_tensor_in_which_it_differs(tmp_path):
    Checkpoints(tmp_path, keep=2).save(LetterModel(), None, Progress(step=5))
    other = LetterModel()
    other.embedding = nn.Embedding(27, 8)
    with pytest.raises(WeightsError, match=r"embedding\.weight, which is 26x8 there and 27x8 here"):
        Checkpoints(tmp_path, keep=2).load(other, None)


@pytest.mark.parametrize(("part", "rule"), [("language_model", "adamw"), ("embedding", "muon")])
def test_a_stage_that_learns_something_else_does_not_go_on(tmp_path, part, rule):
    model = Tied() if rule == "muon" else LetterModel()
    optimizer = moved(model)
    Checkpoints(tmp_path, keep=2).save(model, optimizer, Progress(step=1))
    (tmp_path / "a").mkdir()
    other = LetterModel() if rule == "adamw" else Tied()
    changed = build_optimizer(other, {part: 0.1}, OptimizerConfig(rule="adamw"))
    if rule == "muon":
        changed.optimizers = (torch.optim.Muon([other.embedding.weight]),)
    with pytest.raises(WeightsError, match="the recipe was changed since"):
        Checkpoints(tmp_path, keep=2).load(other, changed)


def test_a_run_of_an_earlier_version_is_named_with_what_to_do(tmp_path):
    (tmp_path / "checkpoint.pt").touch()
    with pytest.raises(WeightsError, match=r"by an earlier kinema.*or remove the file"):
        train(LetterModel(), LetterProcessor(), [letter_stage()], letter_run(tmp_path))


def test_what_ends_a_stage_is_done_again_if_it_did_not_come_to_its_end(tmp_path):
    class Interrupted(Exception):
        pass

    told = []

    def interrupted_once(stage):
        told.append(stage.name)
        if len(told) == 1:
            raise Interrupted

    stages = [letter_stage("one", 2), letter_stage("two", 2)]
    arguments = (LetterProcessor(), stages, letter_run(tmp_path))
    with pytest.raises(Interrupted):
        train(LetterModel(), *arguments, on_stage_end=interrupted_once)
    train(LetterModel(), *arguments, on_stage_end=interrupted_once)
    train(LetterModel(), *arguments, on_stage_end=interrupted_once)
    assert told == ["one", "one", "two"]


def test_a_finished_run_says_so_and_gives_its_weights_to_a_new_model(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    one, other = LetterModel(), LetterModel()
    for model in (one, other):
        train(model, LetterProcessor(), [letter_stage(num_steps=3)], letter_run(tmp_path))
    assert torch.equal(one.embedding.weight, other.embedding.weight)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1
    assert f"the run in {tmp_path} is finished: nothing is left to be done" in caplog.messages
    assert "goes on from" not in caplog.text


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_in_a_message_and_leaves_the_last_checkpoint(small_disk):
    class Large(LetterModel):
        def __init__(self) -> None:
            super().__init__()
            self.ballast = nn.Parameter(torch.zeros(100_000))  # 400 kB a checkpoint

    run = letter_run(small_disk, keep_checkpoints=5)
    with pytest.raises(TrainingError, match=r"No space left.*0 MB.*goes on from .*stage0-step00000010"):
        train(Large(), LetterProcessor(), [letter_stage(num_steps=20)], run)
    assert names(small_disk) == ["stage0-step00000005", "stage0-step00000010"]
    shutil.rmtree(small_disk / "checkpoints/stage0-step00000005")
    resumed, whole = Large(), LetterModel()
    train(
        resumed, LetterProcessor(), [letter_stage(num_steps=20)], letter_run(small_disk, keep_checkpoints=1)
    )
    train(whole, LetterProcessor(), [letter_stage(num_steps=20)], letter_run(small_disk.parent / "whole"))
    assert torch.equal(resumed.embedding.weight, whole.embedding.weight)


def test_a_run_whose_folder_vanishes_makes_it_again(tmp_path):
    class Vandal(LetterProcessor):
        calls = 0

        def __call__(self, conversations, *, with_labels):
            Vandal.calls += 1
            if Vandal.calls == 8:
                shutil.rmtree(tmp_path / "run")
            return super().__call__(conversations, with_labels=with_labels)

        def with_settings(self, **settings):
            return self

    train(LetterModel(), Vandal(), [letter_stage(num_steps=20)], letter_run(tmp_path / "run"))
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 15, 20]
    assert names(tmp_path / "run") == ["stage0-step00000015", "stage0-step00000020"]
