from pathlib import Path

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError, DataError
from kinema.processors.inputs import ModelInputs
from kinema.training.accumulation import backward, check_divisible, split
from kinema.training.contrastive import Contrastive
from kinema.training.losses import IGNORE_INDEX, NextToken
from kinema.training.parallel import trainee
from kinema.training.run import RunConfig


class TinyModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(26, 8)
        self.head = nn.Linear(8, 26)

    @property
    def language_model(self) -> "TinyModel":
        return self

    def hidden_states(self, inputs: ModelInputs):
        return self.embedding(inputs.input_ids)

    def logits(self, hidden_states):
        return self.head(hidden_states)


def batch(*num_labelled):
    """A row for each number, of ten tokens of which so many have labels."""
    torch.manual_seed(1)
    ids = torch.randint(26, (len(num_labelled), 10))
    labels = ids.clone()
    for row, count in enumerate(num_labelled):
        labels[row, : 10 - count] = IGNORE_INDEX
    return ModelInputs(input_ids=ids, position_ids=torch.arange(10).expand_as(ids), labels=labels)


def rows(inputs, chosen):
    return ModelInputs(
        input_ids=inputs.input_ids[chosen],
        position_ids=inputs.position_ids[chosen],
        labels=inputs.labels[chosen],
    )


def trained(parts):
    model = TinyModel()
    with trainee(model, RunConfig(out_dir=Path())) as learner:
        loss = backward(NextToken(), learner, parts)
    return loss, [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("max_samples", [1, 2, 3])
def test_parts_have_the_gradient_of_the_whole_however_labels_are_spread(max_samples):
    whole = batch(9, 1, 0, 4, 2)
    parts = [rows(whole, numbers) for numbers in split(list(range(5)), max_samples)]
    loss, gradients = trained(parts)
    expected_loss, expected = trained([whole])
    assert loss == pytest.approx(expected_loss, abs=1e-6)
    for gradient, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-6, rtol=1e-5)


def test_a_mean_of_means_would_be_another_gradient():
    whole = batch(9, 1)
    _, expected = trained([whole])
    halves = [trained([rows(whole, [number])])[1] for number in (0, 1)]
    means = [(one + other) / 2 for one, other in zip(*halves, strict=True)]
    assert max((mean - wanted).abs().max() for mean, wanted in zip(means, expected, strict=True)) > 1e-3


def test_a_batch_without_any_label_is_an_error_in_parts_too():
    with pytest.raises(DataError, match="no token of the batch"):
        trained([batch(0), batch(0)])


def test_what_compares_samples_is_not_cut():
    with pytest.raises(ConfigError, match="batch of 8 samples whole"):
        check_divisible(Contrastive(), 8, 4)
    check_divisible(Contrastive(), 8, None)
    check_divisible(Contrastive(), 4, 4)
    check_divisible(NextToken(), 8, 4)
