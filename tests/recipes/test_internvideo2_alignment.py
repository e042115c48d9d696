"""Stage 2 by ``kinema train``, on captions of images, clips and clips with their sound."""

import json
from pathlib import Path

import pytest
from bert_vocabulary import small_tokenizer
from command_line import run
from numbered_clips import sound_file, tone
from PIL import Image

from kinema.models.internvideo2.stage2 import InternVideo2Stage2
from kinema.models.internvideo2.stage2_checkpoint import load_stage2, save_stage2
from kinema.processors.bert_text import BertTokenizer
from kinema.recipes.internvideo2_alignment import DATA
from kinema.recipes.nano_internvideo2_sizes import nano_processor, nano_stage2
from kinema.recipes.recipe import Request
from kinema.recipes.registry import find_recipe
from kinema.toybox import make_scene, write_clip
from kinema.training.init import init_weights


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small model that hears."""
    root = tmp_path_factory.mktemp("model")
    words = BertTokenizer(small_tokenizer(root))
    network = InternVideo2Stage2(nano_stage2(words.vocab_size, hears=True))
    init_weights(network, 0)
    save_stage2(network, nano_processor(words), root / "whole")
    return root / "whole"


@pytest.fixture(scope="module")
def captions(tmp_path_factory) -> Path:
    """Two clips, two pictures, and two clips with their sound, in no order."""
    root = tmp_path_factory.mktemp("captions")
    rows = []
    for seed in range(2):
        write_clip(make_scene(seed, level=1), root / f"{seed}.mp4", fps=4)
        Image.new("RGB", (96, 96), (90 * seed, 0, 0)).save(root / f"{seed}.png")
        (root / f"{seed}.wav").write_bytes(sound_file(clip=tone(seconds=1.0)))
        turns = [
            {"from": "human", "value": "<video><audio>\navs"},
            {"from": "gpt", "value": "a dog barks"},
        ]
        rows.append({"video": f"{seed}.mp4", "caption": "a cat"})
        rows.append({"image": f"{seed}.png", "caption": "the dog"})
        rows.append({"video": f"{seed}.mp4", "audio": f"{seed}.wav", "conversations": turns})
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root / "captions.jsonl"


def train(recipe: str, model: Path, out: Path, *more: object):
    how = ("--device", "cpu", "--workers", 0, "--batch-size", 2, "--epochs", 1, "--model", model)
    return run("train", recipe, "--out", out, *how, *more)


def moved(before: Path, after: Path) -> set[str]:
    first, second = (load_stage2(folder).state_dict() for folder in (before, after))
    return {".".join(name.split(".")[:2]) for name in first if not first[name].equal(second[name])}


def test_every_kind_of_rows_is_a_batch_and_the_ears_are_frozen(model, captions, tmp_path):
    faster = ("--set", "stage.masked.schedule.warmup_ratio=0")
    outcome = train("internvideo2_stage2_6b", model, tmp_path, "--data", captions, *faster)
    assert outcome.exit_code == 0, outcome.stderr
    names = moved(model, tmp_path / "masked")
    assert {"vision_encoder.vision_encoder", "match_head.weight", "hearing.joint_projection"} <= names
    assert "hearing.audio_encoder" not in names
    assert not (tmp_path / "bad_samples.jsonl").exists()


def test_the_second_step_of_the_paper_trains_the_ears_and_not_the_eyes(model, captions, tmp_path):
    faster = ("--set", "stage.unmasked.schedule.warmup_ratio=0")
    data = ("--data", f"unmasked={captions}")
    outcome = train("internvideo2_stage2_6b_paper", model, tmp_path, *data, *faster)
    assert outcome.exit_code == 0, outcome.stderr
    names = moved(model, tmp_path / "unmasked")
    assert "hearing.audio_encoder" in names
    assert "vision_encoder.vision_encoder" not in names


def test_a_plan_counts_each_kind(model, captions, tmp_path):
    plan = train("internvideo2_stage2_6b", model, tmp_path / "out", "--data", captions, "--dry-run", "--json")
    (stage,) = plan.document["stages"]
    assert [source["num_samples"] for source in stage["sources"]] == [2, 2, 2]
    assert stage["num_steps"] == 3


def test_a_kind_that_fills_no_batch_is_an_error(model, captions, tmp_path):
    (tmp_path / "few.jsonl").write_text("\n".join(captions.read_text().splitlines()[:3]))
    media = ("--media", captions.parent)
    outcome = train(
        "internvideo2_stage2_6b", model, tmp_path / "out", "--data", tmp_path / "few.jsonl", *media
    )
    assert "stage masked: 1 samples do not fill a batch of 2" in outcome.stderr


def test_a_question_is_no_name_of_a_caption(model, captions, tmp_path):
    row = {"video": "0.mp4", "question": "What is seen?", "caption": "a cat"}
    (tmp_path / "asked.jsonl").write_text(json.dumps(row))
    outcome = train("internvideo2_stage2_6b", model, tmp_path / "out", "--data", tmp_path / "asked.jsonl")
    assert "video, audio, av, avs or none; this is 'What is seen?'" in outcome.stderr


def test_the_published_runs_are_those_of_the_scripts():
    (stage,) = find_recipe("internvideo2_stage2_1b").stages(Request())
    assert (stage.batch_size, stage.num_steps) == (4096, 10 * (15_800_000 // 4096 + 9_700_000 // 4096))
    masked, unmasked = find_recipe("internvideo2_stage2_6b_paper").stages(Request())
    assert (masked.name, unmasked.name) == ("masked", "unmasked")
    assert len(DATA["1b"]) == 25_500_000
    assert len(DATA["6b"]) == pytest.approx(400e6, rel=1e-3)
