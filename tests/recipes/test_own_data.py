"""Published recipes on data of somebody's own, by their command lines, as docs/training.md shows them."""

import json
from pathlib import Path

import pytest
import torch
import typer
from clip_vocabulary import small_tokenizer
from command_line import run
from sentencepiece import SentencePieceProcessor
from small_languagebind import write_languagebind
from small_llama import write_llama
from typer.testing import CliRunner

import kinema
from kinema.models.languagebind.config import Modality
from kinema.processors.clip_text import CLIPTokenizer
from kinema.recipes import languagebind
from kinema.recipes.recipe import Request
from kinema.recipes.video_llava import VIDEO_LLAVA_7B
from kinema.toybox import make_scene, short_caption, write_clip

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
    """Four films of the toybox, with records in LLaVA's form and in VIDAL's."""
    root = tmp_path_factory.mktemp("data")
    (root / "films").mkdir()
    talk, pairs = [], {}
    for seed in range(4):
        scene = make_scene(seed, level=1)
        write_clip(scene, root / f"films/{seed}.mp4", fps=2)
        turns = [
            {"from": "human", "value": "<video>\nWhat happens?"},
            {"from": "gpt", "value": short_caption(scene)},
        ]
        talk.append({"id": str(seed), "video": f"films/{seed}.mp4", "conversations": turns})
        pairs[str(seed)] = {"folder": "films", "polish_mplug": short_caption(scene)}
    (root / "talk.json").write_text(json.dumps(talk))
    (root / "pairs.json").write_text(json.dumps(pairs))
    return root


def train_languagebind(*arguments: object):
    """``python -m kinema.recipes.languagebind ARGUMENTS``, within this process."""
    app = typer.Typer()
    app.command()(languagebind._main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


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


@pytest.mark.parametrize("source", [("--vidal", "pairs.json"), ("--llava", "talk.json")])
def test_languagebind_learns_from_pairs_of_either_form(parts, data, tmp_path, source):
    option, name = source
    arguments = ("--image", parts / "image", "--modality", "video", option, data / name, "--media", data)
    outcome = train_languagebind(
        tmp_path / "mine", *arguments, "--batch", 4, "--device", "cpu", "--workers", 0
    )
    assert outcome.exit_code == 0, outcome.stderr
    model = kinema.load(tmp_path / "mine/model", device="cpu")
    assert model.embed_video(data / "films/0.mp4").shape == (1, 16)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--modality", "video"], "from --vidal or from --llava"),
        (["--modality", "depth", "--llava", "talk.json"], "depth comes from --vidal"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path, arguments, said):
    outcome = train_languagebind(tmp_path / "out", "--image", "x", "--media", "data", *arguments)
    assert outcome.exit_code == 2
    assert said in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_too_few_samples_for_a_batch_are_refused_before_anything_is_loaded(data, tmp_path):
    pairs = ("--vidal", data / "pairs.json", "--media", data)
    outcome = train_languagebind(tmp_path, "--image", tmp_path, "--modality", "video", *pairs)
    assert outcome.exit_code == 2
    assert "4 samples do not fill a batch of 640; take a smaller batch" in outcome.stderr
