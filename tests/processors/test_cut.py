import pytest
import torch

from kinema.errors import InputError
from kinema.processors.collate import Sample, pack_samples, pad_samples
from kinema.processors.cut import cut_sample
from kinema.processors.inputs import VisualInputs

IGNORED = -100


def sample(keep=None):
    """A word, three tokens of an image, a word, two tokens of another, and an answer of two words."""
    visual = VisualInputs(
        pixel_values=torch.zeros(5 if keep is None else len(keep), 3),
        grid_thw=torch.tensor([[1, 1, 3], [1, 1, 2]]) if keep is None else torch.tensor([[1, 1, len(keep)]]),
        merge_sizes=torch.tensor([1, 1]) if keep is None else torch.tensor([1]),
        keep_mask=None if keep is None else torch.tensor(keep),
    )
    return Sample(
        input_ids=torch.tensor([1, 0, 0, 0, 2, 0, 0, 3, 4]),
        visual_mask=torch.tensor([0, 1, 1, 1, 0, 1, 1, 0, 0], dtype=torch.bool),
        labels=torch.tensor([IGNORED] * 4 + [2] + [IGNORED] * 2 + [3, 4]),
        visual=visual,
    )


def test_a_sample_that_is_short_enough_is_left_alone():
    whole = sample()
    assert cut_sample(whole, 9) is whole


def test_a_sample_keeps_its_beginning_and_the_features_that_stand_there():
    cut = cut_sample(sample(), 6)
    assert cut.input_ids.tolist() == [1, 0, 0, 0, 2, 0]
    assert cut.labels.tolist() == [IGNORED] * 4 + [2, IGNORED]
    assert cut.visual.keep_mask.tolist() == [True, True, True, True, False]
    assert cut.is_cut


def test_what_was_pruned_is_not_counted():
    cut = cut_sample(sample(keep=[True, False, True, True, False, True, True]), 6)
    assert cut.visual.keep_mask.tolist() == [True, False, True, True, False, True, False]


def test_a_sample_without_a_label_left_is_an_error():
    with pytest.raises(InputError, match="9 tokens, 5 of them visual, has no label among its first 4"):
        cut_sample(sample(), 4)


@pytest.mark.parametrize("join", [pack_samples, lambda samples: pad_samples(samples, pad_id=0)])
def test_a_batch_counts_the_samples_that_were_cut(join):
    batch = join([cut_sample(sample(), 6), sample(), cut_sample(sample(), 8)])
    assert batch.num_cut == 2
    assert batch.to("cpu").num_cut == 2
