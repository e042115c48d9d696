import pytest
import torch

from kinema.evaluation.toybox_films import film_retrieval
from kinema.models.internvideo2.stage2 import InternVideo2Stage2
from kinema.recipes.nano_internvideo2_sizes import nano_processor, nano_stage2
from kinema.recipes.nano_word_pieces import nano_word_pieces

BY_EYES = {"seen", "seen, matched", "seen and said", "seen and said, matched", "heard by eyes"}


@pytest.mark.parametrize(
    ("hears", "names"),
    [
        (False, BY_EYES),
        (True, BY_EYES | {"heard", "all", "all, matched"}),
    ],
)
def test_every_way_of_finding_a_film_is_scored(hears, names):
    torch.manual_seed(0)
    tokenizer = nano_word_pieces(20)
    model = InternVideo2Stage2(nano_stage2(tokenizer.vocab_size, hears=hears)).eval()
    scores = film_retrieval(model, nano_processor(tokenizer), num_films=8, top_k=2)
    assert scores.keys() == names
    assert all(0 <= recall[1] <= recall[5] <= recall[10] <= 1 for recall in scores.values())
