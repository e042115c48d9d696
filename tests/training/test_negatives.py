import pytest
import torch

from kinema.errors import DataError
from kinema.training.negatives import draw_negatives, negative_weights


def test_what_has_the_same_id_is_never_drawn():
    similarity = torch.zeros(4, 4)
    ids = torch.tensor([1, 2, 1, 3])
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        drawn = draw_negatives(similarity, ids, generator=generator)
        assert (ids[drawn.media] != ids).all()
        assert (ids[drawn.text] != ids).all()


def test_what_is_more_alike_is_likelier():
    weights = negative_weights(torch.tensor([[0.0, 2.0, 1.0]]).expand(3, 3), torch.arange(3))
    assert weights[0, 0] == 0
    assert weights[0, 1] / weights[0, 2] == pytest.approx(torch.tensor(1.0).exp().item())


def test_media_are_drawn_by_the_columns_of_their_similarity_to_texts():
    similarity = torch.tensor([[0.0, 0.0, 0.0], [100.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    drawn = draw_negatives(similarity, torch.arange(3), generator=torch.Generator().manual_seed(0))
    assert drawn.media[0] == 1  # media 1 is the most like text 0
    assert drawn.text[1] == 0


def test_a_pair_that_is_all_its_row_sees_still_gets_a_negative():
    drawn = draw_negatives(torch.eye(2) * 1e6, torch.arange(2), generator=torch.Generator().manual_seed(0))
    assert drawn.media.tolist() == drawn.text.tolist() == [1, 0]


def test_a_batch_about_one_thing_has_no_negatives():
    with pytest.raises(DataError, match="all 3 are 5"):
        draw_negatives(torch.zeros(3, 3), torch.tensor([5, 5, 5]))
