import json

from command_line import run

SMALL = ("--clips", 1, "--questions", 3)


def test_scores_carry_their_recipe_and_can_be_computed_again(model_folder, tmp_path):
    path = tmp_path / "predictions.jsonl"
    options = ("--condition", "test", "--condition", "blind", "--predictions-to", path, "--json")
    document = run("evaluate", model_folder, "--benchmark", "toybox", *SMALL, *options).document
    assert document["recipe"]["model"] == str(model_folder)
    assert document["recipe"]["clips"] == 1
    assert document["scores"]["test"]["num_questions"] == 3
    assert document["scores"].keys() == {"test", "blind"}
    assert len(path.read_text().splitlines()) == 6
    again = run("evaluate", "--rescore", path, "--json").document
    assert again["scores"] == document["scores"]


def test_people_get_a_table(tmp_path):
    path = tmp_path / "predictions.jsonl"
    asked = {"condition": "test", "clip": "a clip", "question": "?"}
    answers = [
        {**asked, "kind": "colour", "truth": "red", "answer": "Red."},
        {**asked, "kind": "count", "truth": "2", "answer": "1"},
    ]
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    rows = [line.split() for line in run("evaluate", "--rescore", path).stdout.splitlines()]
    assert ["exact", "50.0", "%"] in rows
    assert ["colour", "100.0", "%"] in rows
    assert ["count", "0.0", "%"] in rows


def test_a_condition_that_is_not_there_is_told(model_folder):
    outcome = run("evaluate", model_folder, "--condition", "moon", *SMALL)
    assert outcome.exit_code == 2
    assert "no condition 'moon'; there are: test, blind" in outcome.stderr


def test_predictions_that_are_not_there_are_told(tmp_path):
    outcome = run("evaluate", "--rescore", tmp_path / "none.jsonl")
    assert outcome.exit_code == 1
    assert "none.jsonl" in outcome.stderr


def test_kept_predictions_are_not_written_over(tmp_path):
    path = tmp_path / "kept.jsonl"
    path.write_text("kept")
    outcome = run("evaluate", "--rescore", path, "--predictions-to", path)
    assert outcome.exit_code == 2
    assert path.read_text() == "kept"
