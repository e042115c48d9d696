import numpy as np
import pytest
import torch
from bare_internvideo2 import stage2
from bert_vocabulary import PIECES

import kinema
from kinema.errors import InputError
from kinema.evaluation.actions import top_shares
from kinema.evaluation.zero_shot import ACTION_TEMPLATES, action_scores

CLIPS = [np.random.default_rng(seed).integers(0, 256, (4, 28, 28, 3), dtype=np.uint8) for seed in range(2)]
LABELS = ["dog", "a cat"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage2")
    torch.save({"module": stage2()[1]}, folder / "stage2.pt")
    (folder / "vocab.txt").write_text("\n".join(PIECES))
    return kinema.load(folder / "stage2.pt", device="cpu")


def test_there_are_sixteen_templates_and_each_has_its_place():
    assert len(set(ACTION_TEMPLATES)) == 16
    assert all(template.count("{}") == 1 for template in ACTION_TEMPLATES)


def test_the_score_of_a_class_is_the_mean_cosine_of_its_prompts(model):
    templates = ["{}", "the {} barks"]
    scores = action_scores(model, CLIPS, LABELS, templates=templates)
    cosines = model.embed_video(CLIPS) @ model.embed_text(["dog", "the dog barks"]).T
    np.testing.assert_allclose(scores[:, 0], cosines.mean(1), atol=1e-6)
    assert scores.shape == (2, 2)
    assert set(top_shares(scores, torch.tensor([0, 1]))) == {1, 5}


def test_stage_2_is_scored_after_a_softmax_over_all_prompts(model):
    templates = ["{}", "the {} barks"]
    scores = action_scores(model, CLIPS, LABELS, templates=templates, after_softmax=True)
    torch.testing.assert_close(2 * scores.sum(1), torch.ones(2))  # all prompts of all classes
    assert scores.argmax(1).tolist() == action_scores(model, CLIPS, LABELS).argmax(1).tolist()


@pytest.mark.parametrize(
    ("labels", "templates", "said"),
    [
        ([], ["{}"], "labels must be"),
        (["dog", "dog"], ["{}"], "each once"),
        (["dog"], [], "every template"),
        (["dog"], ["a dog"], "every template"),
    ],
)
def test_labels_and_templates_that_cannot_work_are_refused(model, labels, templates, said):
    with pytest.raises(InputError, match=said):
        action_scores(model, CLIPS, labels, templates=templates)
