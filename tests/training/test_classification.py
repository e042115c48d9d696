import math
from types import SimpleNamespace

import pytest
import torch

from kinema.errors import ConfigError, InputError
from kinema.processors.labelled import LabelledClips
from kinema.training.classification import Classification, ClipMixing


def clips(*levels: float) -> torch.Tensor:
    """One clip of 2 frames of 8x8 a level."""
    return torch.tensor(levels).view(-1, 1, 1, 1, 1).expand(-1, 2, 3, 8, 8).clone()


def test_without_mixing_it_is_the_smoothed_cross_entropy():
    logits = torch.tensor([[2.0, 0.0]])
    inputs = LabelledClips(pixel_values=clips(1.0), labels=torch.tensor([0]))
    loss = Classification(label_smoothing=0.2)(lambda pixels: logits, inputs)
    right, wrong = (-math.log(math.exp(x) / (math.exp(2) + 1)) for x in (2, 0))
    assert loss.item() == pytest.approx(0.9 * right + 0.1 * wrong)


def test_mixup_blends_whole_clips_with_the_opposite_ones():
    torch.manual_seed(0)
    mixed, share = ClipMixing(cutmix_share=0.0)(clips(0.0, 1.0))
    assert 0 < share < 1
    torch.testing.assert_close(mixed[1].unique(), torch.tensor([share]))
    torch.testing.assert_close(mixed[0].unique(), torch.tensor([1 - share]))


def test_cutmix_takes_the_same_rectangle_of_every_frame():
    torch.manual_seed(2)
    mixed, share = ClipMixing(cutmix_share=1.0)(clips(0.0, 1.0))
    assert 0 < share < 1
    assert mixed[1].mean().item() == pytest.approx(share)
    assert mixed[0].unique().tolist() == [0, 1]
    assert torch.equal(mixed[:, 0], mixed[:, 1])


def test_classes_are_mixed_as_the_clips_are():
    torch.manual_seed(0)
    inputs = LabelledClips(pixel_values=clips(0.0, 1.0), labels=torch.tensor([0, 1]))
    seen = SimpleNamespace()

    def model(pixels):
        seen.share = pixels[1, 0, 0, 0, 0].item()
        return torch.tensor([[9.0, 0.0], [9.0, 0.0]])

    loss = Classification(label_smoothing=0.0, mixing=ClipMixing(cutmix_share=0.0))(model, inputs)
    assert loss.item() == pytest.approx(
        4.5, abs=1e-2
    )  # half of both clips' classes are wrong, whatever the share
    assert 0 < seen.share < 1


def test_clips_without_a_label_each_are_refused():
    with pytest.raises(InputError, match="2 clips need a label each"):
        LabelledClips(pixel_values=clips(0.0, 1.0), labels=torch.tensor([0]))


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="alphas must be above 0"):
        ClipMixing(mixup_alpha=0.0)
