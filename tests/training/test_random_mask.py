import torch

from kinema.training.random_mask import random_keep_mask


def test_each_clip_hides_as_many_other_patches_and_keeps_the_class_token():
    keep = random_keep_mask(3, 1024, 0.8, generator=torch.Generator().manual_seed(0))
    assert keep.shape == (3, 1025)
    assert keep.sum(1).tolist() == [206] * 3
    assert keep[:, 0].all()
    assert not torch.equal(keep[0], keep[1])


def test_a_ratio_of_nothing_hides_nothing():
    assert random_keep_mask(1, 4, 0.0).all()
