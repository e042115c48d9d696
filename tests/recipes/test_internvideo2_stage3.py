import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line import run
from small_chat import BRIDGE, write_eyes, write_mistral

import kinema
from kinema.errors import ConfigError
from kinema.models.internvideo2.chat_checkpoint import load, save_chat
from kinema.recipes.carry_out import carry_out
from kinema.recipes.internvideo2_stage3 import (
    INTERNVIDEO2,
    INTERNVIDEO2_CHAT_8B,
    UPDATES,
    VIDEOCHAT2_8B,
    start_chat,
    with_updates,
)
from kinema.recipes.plan import plan_run
from kinema.recipes.recipe import Recipe, Request
from kinema.toybox import make_scene, short_caption, write_clip
from kinema.training.precision import Precision
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


def request_of(data: Path, *names: str, **settings) -> Request:
    """The films as data of these stages, in batches of two."""
    files = {name: (str(data / "talk.json"),) for name in names}
    return Request(data=files, media=str(data), batch_size=2, epochs=1, **settings)


def train(
    request: Request, out: Path, recipe: Recipe = INTERNVIDEO2_CHAT_8B, save_dtype: Precision | None = None
) -> None:
    """Two steps of each stage."""
    stages = [replace(stage, num_steps=2) for stage in recipe.stages(request)]
    carry_out(recipe, request, stages, RunConfig(out_dir=out, num_workers=0, save_dtype=save_dtype))


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """Parts with a tensor that is not what it was."""
    return {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}


@pytest.fixture(scope="module")
def start(parts, tmp_path_factory) -> Path:
    """A whole model before its first stage."""
    folder = tmp_path_factory.mktemp("start") / "model"
    loaded = start_chat(*parts, bridge=BRIDGE)
    save_chat(loaded.model, loaded.processor, folder)
    return folder


@pytest.fixture(scope="module")
def trained(start, data, tmp_path_factory) -> Path:
    """All five stages, one after the other."""
    out = tmp_path_factory.mktemp("runs") / "mine"
    train(request_of(data, *STAGES, model=str(start)), out)
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
def test_each_stage_moves_what_learns_and_nothing_else(trained, start, before, stage, learns):
    folders = [start if name == "start" else trained / name for name in (before, stage)]
    assert moved(*(load(folder).model.state_dict() for folder in folders)) == learns


def test_of_the_language_model_only_low_rank_updates_learn(start, data):
    model = with_updates(load(start).model)
    updates = {name for name in model.state_dict() if ".low_rank." in name}
    assert len(updates) == 2 * (4 * 2 + 1)  # of four matrices a layer and the head
    qkv = model.language_model.layers[0].attention.qkv.low_rank
    assert qkv.part_sizes == (32, 16, 16)  # four heads of 8, and two of keys and of values
    assert qkv.scaling == 2.0
    (stage,) = INTERNVIDEO2_CHAT_8B.stages(request_of(data, "instruct"))
    named = {part for part in stage.learning_rates if part.startswith("language_model")}
    assert all(part.endswith(".low_rank") for part in named)


def test_what_is_saved_has_its_updates_merged_and_all_else_of_the_language_model_as_it_was(trained):
    old, new = (load(trained / name).model.language_model.state_dict() for name in ("connect", "instruct"))
    still = {name for name in new if torch.equal(new[name], old[name])}
    assert still == {name for name in new if "norm" in name or name.startswith("embed_tokens")}


def test_what_is_saved_is_rounded_and_what_goes_on_to_the_next_stage_is_not(start, data, tmp_path):
    request = request_of(data, "connect", "instruct", model=str(start))
    for dtype in ("float32", "bfloat16"):
        train(request, tmp_path / dtype, save_dtype=dtype)
    whole, rounded = (
        load(tmp_path / dtype / "instruct").model.state_dict() for dtype in ("float32", "bfloat16")
    )
    assert all(torch.equal(rounded[name], value.bfloat16()) for name, value in whole.items())
    assert any((value != value.bfloat16()).any() for value in whole.values())


def test_on_gpus_layers_are_computed_again_and_the_same_is_learned(start, data, tmp_path):
    assert INTERNVIDEO2_CHAT_8B.on_gpus["activation_checkpointing"]
    request = request_of(data, "instruct", model=str(start))
    (stage,) = INTERNVIDEO2_CHAT_8B.stages(request)
    for does in (False, True):
        out_dir = tmp_path / str(does)
        run_config = RunConfig(out_dir=out_dir, num_workers=0, activation_checkpointing=does)
        carry_out(INTERNVIDEO2_CHAT_8B, request, [replace(stage, num_steps=2)], run_config)
    plain, again = (load(tmp_path / str(does) / "instruct").model.state_dict() for does in (False, True))
    assert all(torch.equal(again[name], value) for name, value in plain.items())


def test_models_are_saved_as_they_were_trained_to_see(trained, data):
    expected = {"align": (4, 1), "instruct": (8, 1), "hd": (8, 3), "f16": (16, 3)}
    for stage, (num_frames, num_views) in expected.items():
        assert load(trained / stage).processor.config.reading.max_frames == num_frames
        model = kinema.load(trained / stage, device="cpu")
        assert isinstance(model.ask(data / "0.mp4", "what?", max_new_tokens=2), str)
        assert model.last_usage.visual_tokens == 5 * num_views  # 2 x 1 tiles and all of it


def test_the_settings_are_the_published_ones(data):
    stages = {stage.name: stage for stage in INTERNVIDEO2_CHAT_8B.stages(request_of(data, *STAGES))}
    assert list(stages) == STAGES
    rates = {
        name: (rates["connector"], rates.get("vision_encoder"), rates.get(UPDATES[0]))
        for name, rates in ((name, stage.learning_rates) for name, stage in stages.items())
    }
    assert rates == {
        "align": (1e-4, None, None),
        "connect": (1e-4, 4e-5, None),
        "instruct": (2e-5, 2e-5, 2e-5),
        "hd": (2e-5, 1e-5, 1e-5),
        "f16": (1e-5, 1e-5, 1e-5),
    }
    assert [stage.processor["reading"].max_frames for stage in stages.values()] == [4, 4, 8, 8, 16]
    assert [stage.processor["max_tiles"] for stage in stages.values()] == [None, None, None, 6, 6]
    assert {stage.processor["max_length"] for stage in stages.values()} == {1024}
    assert [one.batch_size for one in INTERNVIDEO2.values()] == [2048, 2048, 256, 1024, 1024]
    optimizer = stages["hd"].optimizer
    assert (optimizer.weight_decay, optimizer.eps, optimizer.max_grad_norm) == (0.02, 1e-5, 1.0)


def test_videochat2_has_one_rate_for_all_that_learns(data):
    stages = VIDEOCHAT2_8B.stages(request_of(data, *STAGES[:4]))
    assert [set(stage.learning_rates.values()) for stage in stages] == [{1e-4}, {1e-4}, {2e-5}, {1e-5}]
    with pytest.raises(ConfigError, match="videochat2_8b has no stage f16"):
        VIDEOCHAT2_8B.stages(request_of(data, "f16"))


def test_the_published_run_is_planned_without_weights(tmp_path):
    request = Request()
    stages = INTERNVIDEO2_CHAT_8B.stages(request)
    plan = plan_run(INTERNVIDEO2_CHAT_8B, request, stages, RunConfig(out_dir=tmp_path))
    connect, instruct = plan.stages
    assert (connect.num_steps, connect.batch_size) == (13_200_000 // 2048, 2048)
    assert instruct.num_steps == 3 * 1_900_000 // 256
    updates = sum(part.num_parameters for part in instruct.parts if part.name.startswith("language_model"))
    assert updates == 42_532_864  # 16 x (in + out) of 225 matrices
    assert plan.num_parameters - updates == pytest.approx(8.4e9, rel=0.01)
    assert plan.left_out == ("align", "hd", "f16")
    assert all(stage.memory is not None for stage in plan.stages)


def test_memory_is_forecast_for_the_frames_and_tiles_of_a_stage():
    longest = INTERNVIDEO2_CHAT_8B.longest
    assert [longest[name].tokens["vision_encoder"] for name in STAGES] == [
        4 * 256 + 1,
        4 * 256 + 1,
        8 * 256 + 1,
        7 * (8 * 256 + 1),
        7 * (16 * 256 + 1),
    ]
    assert longest["hd"].tokens["connector"] == 7 * 96


def test_a_run_begins_from_a_whole_model_or_from_both_parts():
    with pytest.raises(ConfigError, match=r"or from its parts: --part language=.*Mistral-7B"):
        INTERNVIDEO2_CHAT_8B.expect_start(Request(parts={"vision": "somewhere"}))
    with pytest.raises(ConfigError, match="nano is no InternVideo2-Chat"):
        INTERNVIDEO2_CHAT_8B.start(Request(model="nano"))


@pytest.mark.slow  # it draws a Q-Former of the published size
def test_a_run_from_parts_is_put_together_by_the_recipe(parts):
    request = Request(parts={"vision": str(parts[0]), "language": str(parts[1])})
    model = INTERNVIDEO2_CHAT_8B.start(request).model
    assert model.config.bridge.num_tokens == 96
    assert model.config.vision.num_frames == 8
    assert any(".low_rank." in name for name, _ in model.named_parameters())


def test_own_data_are_learned_from_the_command_line(trained, data, tmp_path):
    outcome = run(
        *("train", "internvideo2_chat_8b", "--out", tmp_path, "--model", trained / "connect"),
        *("--data", f"instruct={data}/talk.json", "--media", data, "--epochs", 1, "--batch-size", 2),
        *("--at-once", 1, "--device", "cpu", "--workers", 0),
    )
    assert outcome.exit_code == 0, outcome.stderr
    assert (tmp_path / "instruct/config.json").is_file()
