import pytest
import torch

from kinema.evaluation.retrieval import recall_at


def test_recall_counts_the_queries_whose_own_item_is_among_the_first():
    similarity = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert recall_at(similarity, places=(1, 2, 3)) == pytest.approx({1: 1 / 3, 2: 2 / 3, 3: 1.0})


def test_what_is_always_the_same_finds_nothing():
    assert recall_at(torch.ones(4, 4), places=(1, 3)) == {1: 0.0, 3: 0.0}


def test_as_many_items_as_queries_are_needed():
    with pytest.raises(ValueError, match="each query needs one item of its own"):
        recall_at(torch.ones(2, 3))
