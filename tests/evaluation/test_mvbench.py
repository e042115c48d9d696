import json

import pytest

from kinema.evaluation.mvbench import (
    INSTRUCTION,
    is_mvbench_match,
    mvbench_question,
    mvbench_truth,
)


@pytest.fixture(scope="module")
def groups(golden_dir):
    return json.loads((golden_dir / "internvideo2/F_chat_prompts.json").read_text())["groups"]


def test_prompts_equal_the_original(groups):
    assert groups["mvbench_prompt"]
    for case in groups["mvbench_prompt"]:
        given, data = case["input"], case["input"]["data"]
        question = mvbench_question(data["question"], data["candidates"])
        system = INSTRUCTION if given["system_in_question"] else ""
        ending = f" {given['answer_prompt']}" if given["answer_prompt"] else ""
        media = "[INST] <Video>[<VID_PLH>]</Video> [/INST]"
        prompt = f"{INSTRUCTION}{media} [INST] {system}{question} [/INST]{ending}"
        assert prompt == case["output"]["prompt"]
        assert mvbench_truth(data["candidates"], data["answer"]) == case["output"]["ground_truth"]


def test_answers_are_judged_as_by_the_original(groups):
    assert groups["mvbench_match"]
    for case in groups["mvbench_match"]:
        given = case["input"]
        assert is_mvbench_match(given["prediction"], given["truth"]) == case["output"], given


def test_an_answer_that_is_no_option_is_refused():
    with pytest.raises(ValueError, match="c"):
        mvbench_truth(["a", "b"], "c")
