import numpy as np
import pytest

from kinema.errors import DataError
from kinema.processors.pruning import NoPruning, PreviousFramePruning
from kinema.recipes.recipe import Request
from kinema.recipes.videollama3 import DATA, VIDEOLLAMA3_2B, VIDEOLLAMA3_7B

STAGES = VIDEOLLAMA3_2B.stages(Request())


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("vision_encoder_adaptation", 15.57),
        ("vision_language_alignment", 21.97),
        ("multi_task", 19.05),
        ("video_centric", 5.71),
    ],
)
def test_the_groups_of_a_stage_make_the_sum_that_the_paper_states(name, millions):
    assert len(DATA[name]) / 1e6 == pytest.approx(millions, abs=0.005)


def test_the_language_model_is_frozen_in_the_first_stage_alone():
    frozen = ["language_model" not in stage.learning_rates for stage in STAGES]
    assert frozen == [True, False, False, False]


def test_the_7b_begins_with_the_eyes_of_the_trained_2b():
    assert VIDEOLLAMA3_2B.parts["vision"] == "DAMO-NLP-SG/SigLIP-NaViT"
    assert VIDEOLLAMA3_7B.parts["vision"] == "DAMO-NLP-SG/VideoLLaMA3-2B"


def test_low_rank_updates_are_those_of_the_published_code():
    updates = VIDEOLLAMA3_2B.updates
    assert (updates.parts, updates.targets) == (("language_model",), "all-linear")
    assert (updates.rank, updates.alpha, updates.dropout) == (64, 16.0, 0.05)


def test_images_are_merged_in_the_last_stage_and_tokens_pruned_in_the_last_two():
    assert [stage.processor["image_merge_size"] for stage in STAGES] == [1, 1, 1, 2]
    assert [stage.processor["video_merge_size"] for stage in STAGES] == [2, 2, 2, 2]
    pruning = [stage.processor["pruning"] for stage in STAGES]
    assert pruning == [NoPruning(), NoPruning(), PreviousFramePruning(), PreviousFramePruning()]


def test_an_epoch_has_as_many_steps_as_batches_are_filled():
    assert [stage.num_steps for stage in STAGES] == [len(data) // 128 for data in DATA.values()]


def test_published_data_that_are_not_here_say_so():
    with pytest.raises(DataError, match=r"the published .* are not here; bring files of your own"):
        STAGES[0].data.sample(0, np.random.default_rng(0))
