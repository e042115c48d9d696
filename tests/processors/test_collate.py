import pytest
import torch

from kinema.errors import InputError
from kinema.processors.collate import Sample, pack_samples, pad_samples
from kinema.processors.inputs import VisualInputs
from kinema.processors.labels import IGNORE_INDEX


def sample(ids, *, labels=None, visual=None, visual_at=()):
    mask = torch.tensor([i in visual_at for i in range(len(ids))])
    return Sample(
        input_ids=torch.tensor(ids),
        visual_mask=mask,
        labels=None if labels is None else torch.tensor(labels),
        visual=visual,
    )


def visual(num_tokens, keep=None):
    return VisualInputs(
        pixel_values=torch.zeros(num_tokens, 3),
        grid_thw=torch.tensor([[1, 1, num_tokens]]),
        merge_sizes=torch.tensor([1]),
        keep_mask=None if keep is None else torch.tensor(keep),
    )


def test_rows_are_padded_on_the_right():
    batch = pad_samples([sample([1, 2, 3]), sample([4])], pad_id=9)
    assert batch.input_ids.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert batch.attention_mask.tolist() == [[True, True, True], [True, False, False]]
    assert batch.position_ids.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert batch.visual is None
    assert not batch.visual_mask.any()


def test_rows_can_be_padded_on_the_left():
    batch = pad_samples([sample([1, 2, 3]), sample([4], labels=None)], pad_id=9, side="left")
    assert batch.input_ids.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert batch.attention_mask.tolist() == [[True, True, True], [False, False, True]]
    assert batch.position_ids.tolist() == [[0, 1, 2], [0, 0, 0]]


def test_rows_of_one_length_need_no_attention_mask():
    assert pad_samples([sample([1, 2]), sample([3, 4])], pad_id=9).attention_mask is None


def test_padding_carries_no_loss():
    batch = pad_samples([sample([1, 2], labels=[IGNORE_INDEX, 2]), sample([3], labels=[3])], pad_id=9)
    assert batch.labels.tolist() == [[IGNORE_INDEX, 2], [3, IGNORE_INDEX]]


def test_packed_positions_restart_and_the_first_label_is_taken_away():
    batch = pack_samples([sample([1, 2], labels=[1, 2]), sample([3, 4, 5], labels=[3, 4, 5])])
    assert batch.input_ids.tolist() == [[1, 2, 3, 4, 5]]
    assert batch.position_ids.tolist() == [[0, 1, 0, 1, 2]]
    assert batch.labels.tolist() == [[IGNORE_INDEX, 2, IGNORE_INDEX, 4, 5]]
    assert batch.segment_lengths == (2, 3)


def test_pruned_and_whole_items_share_one_mask():
    one = sample([7, 7], visual=visual(2), visual_at=(0, 1))
    other = sample([7], visual=visual(2, keep=[True, False]), visual_at=(0,))
    batch = pack_samples([one, other])
    assert batch.visual.keep_mask.tolist() == [True, True, True, False]
    assert batch.visual.grid_thw.tolist() == [[1, 1, 2], [1, 1, 2]]


def test_a_sample_whose_placeholders_do_not_match_its_features_is_refused():
    with pytest.raises(InputError, match="1 placeholders for 2 visual tokens"):
        sample([7, 8], visual=visual(2), visual_at=(0,))


def test_a_batch_with_labels_for_some_is_refused():
    with pytest.raises(InputError, match="1 of 2 samples have labels"):
        pad_samples([sample([1], labels=[1]), sample([2])], pad_id=9)
    with pytest.raises(InputError, match="at least one sample"):
        pack_samples([])
