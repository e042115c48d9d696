import pytest
import torch

from kinema.evaluation.toybox_films import chance_of_heard, film_retrieval
from kinema.models.internvideo2.stage2 import InternVideo2Stage2
from kinema.recipes.nano_internvideo2_sizes import nano_processor, nano_stage2
from kinema.recipes.nano_word_pieces import nano_word_pieces


@pytest.mark.parametrize(
    ("hears", "names"),
    [
        (False, {"seen", "seen, matched", "heard by eyes"}),
        (True, {"seen", "seen, matched", "heard by eyes", "heard", "all", "all, matched"}),
    ],
)
def test_every_way_of_finding_a_film_is_scored(hears, names):
    torch.manual_seed(0)
    tokenizer = nano_word_pieces(20)
    model = InternVideo2Stage2(nano_stage2(tokenizer.vocab_size, hears=hears)).eval()
    scores = film_retrieval(model, nano_processor(tokenizer), num_films=8, top_k=2)
    assert scores.keys() == names
    assert all(0 <= recall[1] <= recall[5] <= recall[10] <= 1 for recall in scores.values())


def test_few_films_sound_alike():
    assert 1 / 200 < chance_of_heard(200) < 4 / 200
