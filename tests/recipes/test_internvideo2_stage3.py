import json
from pathlib import Path

import pytest
import torch
import typer
from small_chat import BRIDGE, write_eyes, write_mistral
from typer.testing import CliRunner

import kinema
from kinema.datasets.llava import LlavaRecords
from kinema.errors import ConfigError
from kinema.models.internvideo2.chat import InternVideo2Chat
from kinema.models.internvideo2.chat_checkpoint import load, save_chat
from kinema.models.internvideo2.config import chat_8b
from kinema.recipes import internvideo2_stage3 as recipe
from kinema.recipes.internvideo2_stage3 import SCHEMES, Scheme, chat_stages, start_chat, train_chat
from kinema.toybox import make_scene, short_caption, write_clip
from kinema.training.run import RunConfig

STAGES = ["align", "connect", "instruct", "hd", "f16"]
BETWEEN = {"vision_norm", "connector", "up_projection"}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two films of the toybox, wider than high, with records."""
    root = tmp_path_factory.mktemp("data")
    records = []
    for seed in range(2):
        scene = make_scene(seed, height=32, width=64)
        write_clip(scene, root / f"{seed}.mp4", fps=4)
        turns = [
            {"from": "human", "value": "<video>\nWhat happens?"},
            {"from": "gpt", "value": short_caption(scene)},
        ]
        records.append({"id": str(seed), "video": f"{seed}.mp4", "conversations": turns})
    (root / "talk.json").write_text(json.dumps(records))
    return root


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("parts")
    return write_eyes(root / "eyes"), write_mistral(root / "mistral")


@pytest.fixture(scope="module")
def records(data) -> LlavaRecords:
    return LlavaRecords(files=(data / "talk.json",), media_dir=data)


def two_steps(records, *names):
    """The stages of these names, two steps of two samples each."""
    stages = chat_stages(dict.fromkeys(names, records), batch_size=2)
    return [type(stage)(**{**vars(stage), "num_steps": 2}) for stage in stages]


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """Parts with a tensor that is not what it was."""
    names = [name for name, value in after.items() if value.shape != before[name].shape]
    names += [name for name in after.keys() - set(names) if not torch.equal(after[name], before[name])]
    return {name.split(".")[0] for name in names}


@pytest.fixture(scope="module")
def trained(parts, records, tmp_path_factory) -> Path:
    """All five stages, one after the other."""
    out = tmp_path_factory.mktemp("runs") / "mine"
    model, processor = start_chat(*parts, bridge=BRIDGE)
    save_chat(model, processor, out / "start")
    train_chat(model, processor, two_steps(records, *STAGES), RunConfig(out_dir=out, num_workers=0))
    return out


@pytest.mark.parametrize(
    ("before", "stage", "learns"),
    [
        ("start", "align", BETWEEN),
        ("align", "connect", BETWEEN | {"vision_encoder"}),
        ("connect", "instruct", BETWEEN | {"vision_encoder", "language_model"}),
        ("instruct", "hd", BETWEEN | {"vision_encoder", "language_model"}),
        ("hd", "f16", BETWEEN | {"vision_encoder", "language_model"}),
    ],
)
def test_each_stage_moves_what_learns_and_nothing_else(trained, before, stage, learns):
    states = [load(trained / name).model.state_dict() for name in (before, stage)]
    assert moved(*states) == learns


def test_of_the_language_model_only_low_rank_updates_learn(parts, records):
    model, _ = start_chat(*parts, bridge=BRIDGE)
    (stage,) = chat_stages({"instruct": records}, batch_size=2)
    recipe.prepare(model, stage)
    updates = {name for name in model.state_dict() if ".low_rank." in name}
    assert len(updates) == 2 * (4 * 2 + 1)  # of four matrices a layer and the head
    qkv = model.language_model.layers[0].attention.qkv.low_rank
    assert qkv.part_sizes == (32, 16, 16)  # four heads of 8, and two of keys and of values
    assert qkv.scaling == 2.0
    named = {part for part in stage.learning_rates if part.startswith("language_model")}
    assert all(part.endswith(".low_rank") for part in named)


def test_merging_updates_keeps_the_embedding_and_the_norms(trained):
    old, new = (load(trained / name).model.language_model.state_dict() for name in ("connect", "instruct"))
    still = {name for name in new if torch.equal(new[name], old[name])}
    assert still == {name for name in new if "norm" in name or name.startswith("embed_tokens")}


def test_models_are_saved_as_they_were_trained_to_see(trained, data):
    expected = {"align": (4, 1), "instruct": (8, 1), "hd": (8, 3), "f16": (16, 3)}
    for stage, (num_frames, num_views) in expected.items():
        loaded = load(trained / stage)
        assert loaded.model.config.vision.num_frames == num_frames
        model = kinema.load(trained / stage, device="cpu")
        assert isinstance(model.ask(data / "0.mp4", "what?", max_new_tokens=2), str)
        assert model.last_usage.visual_tokens == 5 * num_views  # 2 x 1 tiles and all of it


def test_a_run_that_stopped_goes_on_after_the_last_whole_stage(trained, parts, records, tmp_path):
    out = tmp_path / "again"
    model, processor = start_chat(*parts, bridge=BRIDGE)
    first, second = two_steps(records, "align", "instruct")
    run = RunConfig(out_dir=out, num_workers=0)
    train_chat(model, processor, [first], run)
    once, processor = start_chat(*parts, bridge=BRIDGE, seed=1)  # all that counts is what was saved
    train_chat(once, processor, [first, second], run)
    train_chat(model, processor, [second], RunConfig(out_dir=tmp_path / "whole", num_workers=0))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(once.state_dict()[name], value, msg=name)


def test_the_settings_are_the_published_ones(records):
    stages = {stage.name: stage for stage in chat_stages(dict.fromkeys(STAGES, records), batch_size=1)}
    assert list(stages) == STAGES
    rates = {
        name: (rates["connector"], rates.get("vision_encoder"), rates.get(recipe.UPDATES[0]))
        for name, rates in ((name, stage.learning_rates) for name, stage in stages.items())
    }
    assert rates == {
        "align": (1e-4, None, None),
        "connect": (1e-4, 4e-5, None),
        "instruct": (2e-5, 2e-5, 2e-5),
        "hd": (2e-5, 1e-5, 1e-5),
        "f16": (1e-5, 1e-5, 1e-5),
    }
    assert [stage.num_steps for stage in stages.values()] == [2, 2, 6, 2, 2]
    assert [stage.processor["reading"].max_frames for stage in stages.values()] == [4, 4, 8, 8, 16]
    assert [stage.processor["max_tiles"] for stage in stages.values()] == [None, None, None, 6, 6]
    assert {stage.processor["max_length"] for stage in stages.values()} == {1024}
    published = SCHEMES[Scheme.INTERNVIDEO2].values()
    assert [one.batch_size for one in published] == [2048, 2048, 256, 1024, 1024]
    optimizer = stages["hd"].optimizer
    assert (optimizer.weight_decay, optimizer.eps, optimizer.max_grad_norm) == (0.02, 1e-5, 1.0)


def test_videochat2_has_one_rate_for_all_that_learns(records):
    data = dict.fromkeys(STAGES[:4], records)
    stages = chat_stages(data, scheme=Scheme.VIDEOCHAT2, batch_size=1)
    assert [set(stage.learning_rates.values()) for stage in stages] == [{1e-4}, {1e-4}, {2e-5}, {1e-5}]
    with pytest.raises(ConfigError, match="videochat2 has no stage f16"):
        chat_stages({"f16": records}, scheme=Scheme.VIDEOCHAT2)


def test_the_published_size_can_be_prepared_for_every_stage(records):
    with torch.device("meta"):
        model = InternVideo2Chat(chat_8b())
    (stage,) = chat_stages({"instruct": records}, batch_size=2)
    recipe.prepare(model, stage)
    factors = [value for name, value in model.named_parameters() if ".low_rank." in name]
    assert sum(factor.numel() for factor in factors) == 42_532_864  # 16 x (in + out) of 225 matrices
    assert all(factor.is_meta for factor in factors)


def run(*arguments: object):
    app = typer.Typer()
    app.command()(recipe._main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_own_data_are_learned_from_the_command_line(trained, data, tmp_path):
    outcome = run(
        *(tmp_path / "more", "--model", trained / "connect", "--instruct", data / "talk.json"),
        *("--media", data, "--batch", 2, "--at-once", 1, "--device", "cpu", "--workers", 0),
    )
    assert outcome.exit_code == 0, outcome.stderr
    assert "instruct" in {path.name for path in (tmp_path / "more").iterdir()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is nothing to learn from; pass --align, --connect, --instruct, --hd, --f16"),
        (["--hd", "talk.json"], "do not fill a batch of 1024"),
        (["--hd", "talk.json", "--batch", 1, "--vision", "x"], "a run begins from --vision and --language"),
    ],
)
def test_what_is_missing_is_said_in_one_line(data, tmp_path, arguments, said):
    arguments = [data / one if one == "talk.json" else one for one in arguments]
    outcome = run(tmp_path / "out", "--media", data, *arguments)
    assert outcome.exit_code == 2
    assert said in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
