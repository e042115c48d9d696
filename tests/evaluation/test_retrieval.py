import pytest
import torch
from golden_case import GoldenCase
from torch import Tensor
from torch.nn import functional as F

from kinema.evaluation.retrieval import class_scores, dual_softmax, recall_at


def test_recall_counts_the_queries_whose_own_item_is_among_the_first():
    similarity = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert recall_at(similarity, places=(1, 2, 3)) == pytest.approx({1: 1 / 3, 2: 2 / 3, 3: 1.0})


def test_what_is_always_the_same_finds_nothing():
    assert recall_at(torch.ones(4, 4), places=(1, 3)) == {1: 0.0, 3: 0.0}


def test_of_several_that_are_right_the_best_counts():
    similarity = torch.tensor([[1.0, 3.0, 2.0]])
    for right, places in (([0, 2], {1: 0.0, 2: 1.0}), ([1, 2], {1: 1.0, 2: 1.0})):
        matches = torch.tensor([[index in right for index in range(3)]])
        assert recall_at(similarity, places=(1, 2), matches=matches) == places


def test_as_many_items_as_queries_are_needed():
    with pytest.raises(ValueError, match="each query needs one item of its own"):
        recall_at(torch.ones(2, 3))


def test_a_query_without_anything_right_is_refused():
    with pytest.raises(ValueError, match="at least one item"):
        recall_at(torch.ones(2, 2), matches=torch.tensor([[True, False], [False, False]]))


@pytest.fixture(scope="module")
def case(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/H_retrieval_metrics")


def caption_matches(case: GoldenCase) -> Tensor:
    owner = torch.tensor(
        [case.details["text_to_video"][str(i)] for i in range(len(case.details["text_to_video"]))]
    )
    return torch.arange(case.config["videos"])[:, None] == owner


def action_matches(case: GoldenCase) -> Tensor:
    return case.inputs["action_label"][:, None] == torch.arange(case.config["classes"])


def cosines(case: GoldenCase, task: str) -> Tensor:
    names = ("video", "text") if task == "captions" else ("action_video", "action_prompt")
    media, text = (F.normalize(case.inputs[f"{name}_features"], dim=-1) for name in names)
    return media @ text.T


@pytest.mark.parametrize("task", ["captions", "action"])
@pytest.mark.parametrize("family", ["clip", "stage2"])
def test_scores_and_recalls_equal_the_original(case, family, task):
    """Stage 2 takes a softmax over each row, before it averages prompts; CLIP takes none."""
    matches = caption_matches(case) if task == "captions" else action_matches(case)
    similarity = cosines(case, task)
    for direction, rows, right in (("v2t", similarity, matches), ("t2v", similarity.T, matches.T)):
        for kind in ("sim", "dsl"):
            scores = rows if kind == "sim" else dual_softmax(rows)
            check_scores(case, f"{family}_{task}", f"{kind}_{direction}", scores, right)


def check_scores(case: GoldenCase, run: str, name: str, scores: Tensor, right: Tensor) -> None:
    kind, direction = name.split("_")
    if run.startswith("stage2"):
        scores = scores.softmax(-1)
    if run.endswith("action"):
        classes = case.config["classes"]
        scores = class_scores(scores, classes) if direction == "v2t" else class_scores(scores.T, classes).T
    case.check(scores, f"{run}.{name}")
    stored = case.details["metrics"][run][kind]
    for place, share in recall_at(scores, matches=right).items():
        assert round(100 * share, 2) == stored[f"{direction}_r{place}"]
