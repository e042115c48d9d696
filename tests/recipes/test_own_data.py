"""Published recipes on data of somebody's own, by their command lines, as docs/training.md shows them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_vocabulary import small_tokenizer
from command_line import run
from numbered_clips import sound_file, tone
from PIL import Image
from sentencepiece import SentencePieceProcessor
from small_languagebind import write_languagebind
from small_llama import write_llama

import kinema
from kinema.models.languagebind.checkpoint import load
from kinema.models.languagebind.config import Modality
from kinema.processors.clip_text import CLIPTokenizer
from kinema.recipes.recipe import Request
from kinema.recipes.video_llava import VIDEO_LLAVA_7B
from kinema.toybox import make_scene, short_caption, write_clip
from kinema.training.bad_samples import FILE_NAME

pytestmark = pytest.mark.filterwarnings("ignore:.*texts have over:kinema.errors.ModelWarning")


@pytest.fixture(scope="module")
def parts(golden_dir, tmp_path_factory) -> Path:
    """A language model and two towers, small ones."""
    root = tmp_path_factory.mktemp("parts")
    pieces = golden_dir / "video_llava/tokenizer.model"
    write_llama(root / "vicuna", pieces, len(SentencePieceProcessor(model_file=str(pieces))))
    tokenizer = CLIPTokenizer(small_tokenizer(root), num_positions=12)
    for modality in (Modality.IMAGE, Modality.VIDEO):
        write_languagebind(root / modality, modality, tokenizer)
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Four films of the toybox, with records in LLaVA's form and in VIDAL's, and captions of other files."""
    root = tmp_path_factory.mktemp("data")
    (root / "films").mkdir()
    talk, pairs, captions = [], {}, {"captions": [], "audio": [], "depth": []}
    for seed in range(4):
        scene = make_scene(seed, level=1)
        write_clip(scene, root / f"films/{seed}.mp4", fps=2)
        turns = [
            {"from": "human", "value": "<video>\nWhat happens?"},
            {"from": "gpt", "value": short_caption(scene)},
        ]
        talk.append({"id": str(seed), "video": f"films/{seed}.mp4", "conversations": turns})
        (root / f"films/{seed}.wav").write_bytes(sound_file(clip=tone(seconds=1.0)))
        Image.fromarray(np.full((32, 32), 1000 * seed, np.uint16)).save(root / f"films/{seed}.png")
        shown = {"captions": ("video", "mp4"), "audio": ("audio", "wav"), "depth": ("image", "png")}
        for name, (kind, ending) in shown.items():
            captions[name].append({kind: f"films/{seed}.{ending}", "caption": short_caption(scene)})
        pairs[str(seed)] = {"folder": "films", "polish_mplug": short_caption(scene)}
    (root / "talk.json").write_text(json.dumps(talk))
    (root / "pairs.json").write_text(json.dumps(pairs))
    for name, rows in captions.items():
        (root / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


def train_languagebind(out: Path, *arguments: object, recipe: str = "languagebind_video"):
    """``kinema train languagebind_... ARGUMENTS``, here and now."""
    return run("train", recipe, "--out", out, "--device", "cpu", "--workers", 0, *arguments)


def train_video_llava(out: Path, data: Path, *arguments: object):
    """``kinema train video_llava_7b ...`` of the talk about the films, here and now."""
    records = ("--data", f"tune={data}/talk.json", "--media", data, "--device", "cpu", "--workers", 0)
    return run("train", "video_llava_7b", "--out", out, *records, *arguments)


@pytest.fixture(scope="module")
def trained(parts, data, tmp_path_factory) -> Path:
    """Both stages of Video-LLaVA on the films."""
    out = tmp_path_factory.mktemp("runs") / "mine"
    begin = [
        option
        for name, folder in (("language", "vicuna"), ("image", "image"), ("video", "video"))
        for option in ("--part", f"{name}={parts / folder}")
    ]
    outcome = train_video_llava(out, data, *begin, "--data", f"align={data}/talk.json", "--batch-size", 2)
    assert outcome.exit_code == 0, outcome.stderr
    return out


def test_both_stages_leave_a_model_that_answers(trained, data):
    for stage in ("align", "tune"):
        answer = kinema.load(trained / stage, device="cpu").ask(
            data / "films/0.mp4", "What happens?", max_new_tokens=2
        )
        assert isinstance(answer, str)


def test_the_second_stage_can_go_on_from_a_whole_model(trained, data, tmp_path):
    more = ("--model", trained / "align", "--batch-size", 2, "--at-once", 1)
    outcome = train_video_llava(tmp_path / "more", data, *more)
    assert outcome.exit_code == 0, outcome.stderr
    assert (tmp_path / "more/tune/config.json").is_file()
    assert not (tmp_path / "more/align").exists()


def test_a_projector_of_the_first_stage_takes_the_place_of_one_of_chance(parts, tmp_path):
    named = {"language": "vicuna", "image": "image", "video": "video"}
    begin = {name: str(parts / folder) for name, folder in named.items()}
    connector = VIDEO_LLAVA_7B.start(Request(parts=begin)).model.connector
    published = {"fc1": "model.mm_projector.0", "fc2": "model.mm_projector.2"}
    other = {
        f"{published[layer]}.{kind}": tensor + 1
        for (layer, kind), tensor in (
            (key.split("."), value) for key, value in connector.state_dict().items()
        )
    }
    torch.save(other, tmp_path / "mm_projector.bin")
    request = Request(parts={**begin, "projector": str(tmp_path)})
    VIDEO_LLAVA_7B.expect_start(request)
    taken = VIDEO_LLAVA_7B.start(request).model.connector
    assert torch.equal(taken.fc1.weight, other["model.mm_projector.0.weight"])
    assert torch.equal(taken.fc2.bias, other["model.mm_projector.2.bias"])


def test_a_model_that_is_not_whole_is_no_start(data, tmp_path):
    outcome = train_video_llava(tmp_path / "out", data, "--batch-size", 2)
    assert outcome.exit_code != 0
    assert "begins from --model alone, a whole model, or from its parts: --part language=" in outcome.stderr


def pairs(parts, file: Path, *more: object):
    """A start from images, two steps of two pairs."""
    return ("--part", f"image={parts / 'image'}", "--data", file, "--batch-size", 2, "--epochs", 1, *more)


@pytest.mark.parametrize("name", ["pairs.json", "captions.jsonl"])
def test_languagebind_learns_from_pairs_of_either_form(parts, data, tmp_path, name):
    outcome = train_languagebind(tmp_path / "mine", *pairs(parts, data / name))
    assert outcome.exit_code == 0, outcome.stderr
    model = kinema.load(tmp_path / "mine/video_text", device="cpu")
    assert model.embed_video(data / "films/0.mp4").shape == (1, 16)


def test_attention_over_time_can_learn_in_full_and_rows_go_through_the_towers_in_parts(parts, data, tmp_path):
    chunks = ("--set", "stage.video_text.loss.chunk_size=1")
    arguments = pairs(parts, data / "pairs.json", *chunks)
    outcome = train_languagebind(tmp_path / "mine", *arguments, recipe="languagebind_video_ft")
    assert outcome.exit_code == 0, outcome.stderr
    trained = load(tmp_path / "mine/video_text").model.vision_encoder.state_dict()
    layer = "layers.0.{}.attention.qkv.weight"
    assert not torch.equal(trained[layer.format("temporal")], trained[layer.format("spatial")])


def test_sound_and_depth_are_learned_from_captions_of_files(parts, data, tmp_path):
    for modality in ("audio", "depth"):
        outcome = train_languagebind(
            tmp_path / modality,
            *pairs(parts, data / f"{modality}.jsonl"),
            recipe=f"languagebind_{modality}",
        )
        assert outcome.exit_code == 0, outcome.stderr
        assert (tmp_path / modality / f"{modality}_text/config.json").is_file()


def test_which_text_of_vidal_is_learned_is_a_setting(parts, data, tmp_path):
    arguments = pairs(parts, data / "pairs.json", "--set", "stage.video_text.data.parts.0.0.text=raw")
    train_languagebind(tmp_path / "mine", *arguments)
    assert "there are no words in its 'raw'" in (tmp_path / "mine" / FILE_NAME).read_text()


def test_captions_and_annotations_are_not_read_as_one(parts, data, tmp_path):
    arguments = pairs(parts, data / "pairs.json", "--data", data / "captions.jsonl")
    outcome = train_languagebind(tmp_path / "mine", *arguments)
    assert outcome.exit_code != 0
    assert "has VIDAL's form, and other files have not" in outcome.stderr


def test_a_model_of_clips_is_no_start(parts, data, tmp_path):
    arguments = ("--part", f"image={parts / 'video'}", "--data", data / "pairs.json", "--batch-size", 2)
    outcome = train_languagebind(tmp_path / "mine", *arguments)
    assert "is a model of video; begin from one of images" in outcome.stderr


def test_languagebind_needs_images_to_begin_from(data, tmp_path):
    outcome = train_languagebind(tmp_path / "mine", "--data", data / "pairs.json", "--batch-size", 2)
    assert "begins from its parts alone: --part image=... (LanguageBind/LanguageBind_Image)" in outcome.stderr


def test_too_few_samples_for_a_batch_are_refused_before_anything_is_loaded(data, tmp_path):
    arguments = ("--data", data / "pairs.json", "--part", f"image={tmp_path}")
    outcome = train_languagebind(tmp_path / "mine", *arguments)
    assert outcome.exit_code != 0
    assert "4 samples do not fill a batch of 640; take a smaller batch" in outcome.stderr
