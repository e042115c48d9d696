import pytest
import torch

from kinema.errors import ConfigError
from kinema.training.losses import IGNORE_INDEX
from kinema.training.masked_words import WordMasking


def test_half_of_the_words_are_to_be_guessed_and_never_start_or_padding():
    ids = torch.tensor([[101, *[7] * 48, 102, 0]] * 200)
    masked = WordMasking()(ids, generator=torch.Generator().manual_seed(0))
    hidden = masked.labels != IGNORE_INDEX
    assert not hidden[:, 0].any()
    assert not hidden[:, -1].any()
    assert hidden[:, 1:-1].float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(masked.labels[hidden], ids[hidden])
    assert torch.equal(masked.input_ids[~hidden], ids[~hidden])


def test_of_hidden_words_four_fifths_are_masks_and_a_tenth_stays():
    ids = torch.full((100, 100), 7)
    masked = WordMasking(ratio=1.0)(ids, generator=torch.Generator().manual_seed(0))
    shares = [(masked.input_ids == token).float().mean().item() for token in (103, 7)]
    assert shares == pytest.approx([0.8, 0.1], abs=0.02)


def test_a_ratio_that_hides_nothing_is_refused():
    with pytest.raises(ConfigError, match="above 0"):
        WordMasking(ratio=0.0)
