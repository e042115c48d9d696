import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from command_line import run

from kinema.models.registry import convert_model, load_model


@pytest.fixture(scope="module")
def records(clip, tmp_path_factory) -> Path:
    """Four records about one clip, in whose folder they stand."""
    turns = [{"from": "human", "value": "<video>\nWhat is seen?"}, {"from": "gpt", "value": "A toy."}]
    file = tmp_path_factory.mktemp("records") / "my.jsonl"
    line = json.dumps({"video": str(clip), "conversations": turns})
    file.write_text("\n".join([line] * 4))
    return file


def finetune(records, model_folder, out, *more):
    return run(
        "train",
        "finetune",
        "--model",
        model_folder,
        "--data",
        records,
        "--out",
        out,
        "--batch-size",
        2,
        "--workers",
        0,
        "--epochs",
        1,
        *more,
    )


@pytest.fixture(scope="module")
def trained(records, model_folder, tmp_path_factory):
    """A run of two steps: its folder, and what the command printed."""
    out = tmp_path_factory.mktemp("runs") / "mine"
    outcome = finetune(records, model_folder, out, "--set", "stage.tune.learning_rates.connector=1e-3")
    assert outcome.exit_code == 0, outcome.stderr
    return out, outcome


def test_own_data_become_a_model_that_answers(trained, clip):
    out, outcome = trained
    assert outcome.stdout.splitlines()[-1] == str(out / "tune")
    answer = run("ask", clip, "What is seen?", "--model", out / "tune", "--max-new-tokens", 2)
    assert answer.exit_code == 0


def test_connector_and_language_model_have_moved_and_the_eyes_have_not(trained, model_folder):
    before = load_model(model_folder).model.state_dict()
    after = load_model(trained[0] / "tune").model.state_dict()
    moved = {name.split(".")[0] for name in before if not before[name].equal(after[name])}
    assert moved == {"connector", "language_model"}


@pytest.fixture(scope="module")
def half_folder(model_folder, tmp_path_factory) -> Path:
    """The model in bfloat16."""
    folder = tmp_path_factory.mktemp("models") / "half"
    convert_model(model_folder, folder, layout="official", dtype=torch.bfloat16)
    return folder


@pytest.mark.parametrize("flags", [(), ("--lora",)], ids=["all weights", "updates"])
def test_a_model_is_saved_in_the_dtype_that_it_started_in_or_as_asked(records, half_folder, tmp_path, flags):
    asked = ("--set", "run.save_dtype=float32")
    for name, more in (("default", ()), ("asked", asked)):
        outcome = finetune(records, half_folder, tmp_path / name, *flags, *more)
        assert outcome.exit_code == 0, outcome.stderr
    rounded, whole = (load_model(tmp_path / name / "tune").model for name in ("default", "asked"))
    assert {value.dtype for value in rounded.parameters()} == {torch.bfloat16}
    assert {value.dtype for value in whole.parameters()} == {torch.float32}
    pairs = zip(rounded.parameters(), whole.parameters(), strict=True)
    assert all(ours.equal(theirs.bfloat16()) for ours, theirs in pairs)
    moved = whole.language_model.layers[0].mlp.down.weight
    assert (moved != moved.bfloat16()).any()


def test_a_model_that_started_in_float32_is_saved_in_float32(trained):
    assert {value.dtype for value in load_model(trained[0] / "tune").model.parameters()} == {torch.float32}


def test_low_rank_updates_are_learned_and_folded_into_what_is_saved(records, model_folder, tmp_path):
    out = tmp_path / "run"
    outcome = finetune(
        records, model_folder, out, "--lora", "--set", "stage.tune.learning_rates.language_model=0.1"
    )
    assert outcome.exit_code == 0, outcome.stderr
    before = load_model(model_folder).model.state_dict()
    after = load_model(out / "tune").model.state_dict()
    assert before.keys() == after.keys()
    moved = {name for name in before if not before[name].equal(after[name])}
    matrices = {name.split(".")[-2] for name in moved if name.startswith("language_model.")}
    assert matrices == {"qkv", "out", "gate_up", "down"}
    assert {name.split(".")[0] for name in moved} == {"connector", "language_model"}


def test_a_plan_counts_updates_alone_as_learning(records, model_folder, tmp_path):
    whole, updates = (
        finetune(records, model_folder, tmp_path, "--dry-run", "--json", *lora).document["stages"][0][
            "parts"
        ][1]
        for lora in ((), ("--lora",))
    )
    assert whole["name"] == updates["name"] == "language_model"
    assert updates["num_parameters"] < whole["num_parameters"]


@pytest.fixture(scope="module")
def trained_beside_four_bits(records, model_folder, tmp_path_factory):
    """The folder of a run of two steps."""
    pytest.importorskip("bitsandbytes", reason="weights in four bits need the extra 'qlora'")
    out = tmp_path_factory.mktemp("runs") / "packed"
    rate = "stage.tune.learning_rates.language_model=0.1"
    outcome = finetune(records, model_folder, out, "--qlora", "--set", rate, "--set", "run.save_every=1")
    assert outcome.exit_code == 0, outcome.stderr
    return out


def test_updates_learned_beside_four_bits_become_a_model_that_answers(
    trained_beside_four_bits, model_folder, clip
):
    before = load_model(model_folder).model.state_dict()
    after = load_model(trained_beside_four_bits / "tune").model.state_dict()
    assert before.keys() == after.keys()
    assert {value.dtype for value in after.values()} == {torch.float32}
    moved = {name for name in before if not before[name].equal(after[name])}
    matrices = {name.split(".")[-2] for name in moved if name.startswith("language_model.")}
    assert matrices == {"qkv", "out", "gate_up", "down"}
    answer = run("ask", clip, "Seen?", "--model", trained_beside_four_bits / "tune", "--max-new-tokens", 2)
    assert answer.exit_code == 0


def test_a_run_beside_four_bits_goes_on_from_its_checkpoint(trained_beside_four_bits, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(trained_beside_four_bits, broken, ignore=shutil.ignore_patterns("tune", "*step00000002"))
    assert [path.name for path in (broken / "checkpoints").iterdir()] == ["stage0-step00000001"]
    outcome = run("train", broken / "run.yaml")
    assert outcome.exit_code == 0, outcome.stderr
    whole, resumed = (
        load_model(out / "tune").model.state_dict() for out in (trained_beside_four_bits, broken)
    )
    assert all(whole[name].equal(resumed[name]) for name in whole)


def test_a_plan_beside_four_bits_needs_less_memory_and_learns_as_much(records, model_folder, tmp_path):
    pytest.importorskip("bitsandbytes", reason="weights in four bits need the extra 'qlora'")
    whole, packed = (
        finetune(records, model_folder, tmp_path, "--dry-run", "--json", flag).document["stages"][0]
        for flag in ("--lora", "--qlora")
    )
    assert packed["parts"] == whole["parts"]
    assert packed["memory_bytes"]["1"]["weights"] < whole["memory_bytes"]["1"]["weights"]


def test_weights_in_four_bits_are_not_sharded(records, model_folder, tmp_path):
    outcome = finetune(
        records, model_folder, tmp_path, "--dry-run", "--qlora", "--set", "run.shard=[language_model]"
    )
    assert outcome.exit_code != 0
    assert "weights in 4 bits cannot be sharded, and run.shard is language_model" in outcome.stderr


def test_updates_of_a_recipe_that_has_its_own_are_refused():
    outcome = run("train", "internvideo2_chat_8b", "--dry-run", "--lora")
    assert "trains low-rank updates as it is; leave --lora out" in outcome.stderr


def test_the_run_is_written_with_what_was_changed(trained):
    content = yaml.safe_load((trained[0] / "run.yaml").read_text())
    assert content["recipe"] == "finetune"
    assert content["stages"]["tune"]["learning_rates"] == {"connector": 1e-3, "language_model": 2e-5}
    assert content["stages"]["tune"]["num_steps"] == 2


def test_the_file_of_a_run_runs_again_elsewhere(trained, tmp_path):
    out, _ = trained
    outcome = run("train", out / "run.yaml", "--out", tmp_path / "again")
    assert outcome.exit_code == 0, outcome.stderr
    first, second = (load_model(folder / "tune").model.state_dict() for folder in (out, tmp_path / "again"))
    assert all(first[name].equal(second[name]) for name in first)


def test_another_run_in_the_folder_of_one_is_refused(trained, records, model_folder):
    outcome = finetune(records, model_folder, trained[0], "--set", "stage.tune.num_steps=3")
    assert outcome.exit_code != 0
    assert "holds another run: stages.tune.learning_rates.connector was 0.001 and is 2e-05" in outcome.stderr


def test_a_plan_trains_nothing(records, model_folder, tmp_path):
    outcome = finetune(records, model_folder, tmp_path / "none", "--dry-run", "--json")
    stage = outcome.document["stages"][0]
    assert (stage["num_steps"], stage["batch_size"]) == (2, 2)
    assert [part["name"] for part in stage["parts"]] == ["connector", "language_model"]
    assert stage["sources"][0]["num_samples"] == 4
    assert not (tmp_path / "none").exists()


def test_few_samples_make_eight_small_batches_an_epoch(tmp_path, records, model_folder):
    line = records.read_text().splitlines()[0]
    (tmp_path / "twenty.jsonl").write_text("\n".join([line] * 20))
    options = ("--model", model_folder, "--data", tmp_path / "twenty.jsonl", "--dry-run", "--json")
    stage = run("train", "finetune", *options).document["stages"][0]
    assert (stage["batch_size"], stage["num_steps"]) == (2, 30)


def test_a_plan_shows_a_sample_with_what_is_learned_of_it(records, model_folder, tmp_path):
    shown = finetune(records, model_folder, tmp_path / "none", "--dry-run").stdout
    assert "[[A toy." in shown
    assert "visual tokens>" in shown


def test_a_published_recipe_is_planned_without_its_data():
    outcome = run("train", "videollama3_2b", "--dry-run", "--json")
    names = [stage["name"] for stage in outcome.document["stages"]]
    assert names == ["vision_encoder_adaptation", "vision_language_alignment", "multi_task", "video_centric"]
    assert (
        outcome.document["num_parameters"]
        == 412_147_440 + 1_152 * 1_536 + 1_536**2 + 2 * 1_536 + 1_543_714_304
    )
    assert outcome.document["stages"][0]["num_steps"] == 15_570_000 // 128


def test_a_plan_of_7b_says_what_each_of_1_8_and_64_devices_holds():
    stage = run("train", "videollama3_7b", "--dry-run", "--json").document["stages"][-1]
    one, eight, many = (stage["memory_bytes"][count] for count in ("1", "8", "64"))
    assert one["weights"] >= 4 * 8_044_744_944
    assert one["total"] > eight["total"] > many["total"]
    assert eight["optimizer"] < one["optimizer"] / 4


def test_a_plan_is_shown_with_what_learns_and_what_nobody_can_have():
    shown = run("train", "videollama3_2b", "--dry-run").stdout
    assert "connector" in shown
    assert "412,147,440" in shown
    assert "OCR in-house" in shown
    assert "the like at nano size: python -m kinema.recipes.nano runs/nano" in shown


def test_a_plan_says_what_it_leaves_out_and_what_it_does_not_forecast():
    shown = run("train", "internvideo2_chat_8b", "--dry-run").stdout
    assert "left out, for want of data: align, hd, f16" in shown
    assert shown.count("memory a device") == 2
    assert "memory is not forecast" in run("train", "internvideo2_distil_s14", "--dry-run").stdout


def test_the_recipes_are_listed():
    assert {entry["name"] for entry in run("train", "--json").document["recipes"]} >= {
        "finetune",
        "videollama3_2b",
        "videollama3_7b",
    }
    assert "any model that answers" in run("train").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing",), "there is no recipe 'nothing'; there are finetune"),
        (("finetune", "--data", "FILE"), "finetune begins from a model"),
        (("finetune", "--model", "MODEL"), "learns from your own data"),
        (
            ("finetune", "--model", "MODEL", "--data", "FILE", "--batch-size", "2", "--set", "a=1"),
            "there is no a",
        ),
        (("finetune", "--model", "MODEL", "--data", "align=FILE"), "no stage align; its stages are tune"),
        (
            ("videollama3_2b", "--data", "FILE"),
            "say for which it is, such as --data vision_encoder_adaptation=",
        ),
        (("videollama3_2b", "--data", "multi_task=FILE"), "4 samples do not fill a batch of 128"),
        (
            ("videollama3_2b", "--data", "multi_task=FILE", "--batch-size", "2", "--part", "ear=x"),
            "no part ear; it has language, vision",
        ),
        (
            ("videollama3_2b", "--data", "multi_task=FILE", "--batch-size", "2", "--part", "vision=x"),
            r"from its parts: --part language=... (Qwen/Qwen2.5-1.5B-Instruct)",
        ),
        (("videollama3_2b", "--part", "vision"), "--part vision: give each part once, as NAME=SOURCE"),
        (
            ("finetune", "--model", "MODEL", "--data", "FILE", "--media", "nowhere"),
            "--media nowhere: there is no",
        ),
        (("none.yaml",), "none.yaml is not the file of a run"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(words, said, records, model_folder, tmp_path):
    named = {"MODEL": str(model_folder), "FILE": str(records), "align=FILE": f"align={records}"}
    named["multi_task=FILE"] = f"multi_task={records}"
    outcome = run("train", *(named.get(word, word) for word in words), "--out", tmp_path / "out")
    assert outcome.exit_code != 0
    assert said in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_nano_twins_are_listed_with_their_commands():
    command = "python -m kinema.recipes.nano_languagebind runs/nano_languagebind"
    assert command in {twin["command"] for twin in run("train", "--json").document["twins"]}
    assert command in run("train").stdout
