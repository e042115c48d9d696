import math

import pytest
import torch
from pair_towers import NUM_PAIRS, PairTowers, gradients, make_pairs
from safetensors.torch import load_file

from kinema.errors import ConfigError, InputError
from kinema.processors.pairs import PairInputs
from kinema.training.contrastive import Contrastive, symmetric_info_nce


def test_loss_logits_and_gradients_are_the_originals(golden_dir):
    golden = load_file(golden_dir / "video_llava" / "contrastive.safetensors")
    names = ("modality_embeds", "text_embeds", "log_logit_scale")
    modality, text, log_scale = (golden[name].requires_grad_() for name in names)
    loss, logits = symmetric_info_nce(modality, text, log_scale.exp())
    loss.backward()
    torch.testing.assert_close(loss, golden["loss"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(logits, golden["logits_per_modality"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits.T, golden["logits_per_text"], atol=1e-5, rtol=1e-5)
    for name, tensor in zip(names, (modality, text, log_scale), strict=True):
        torch.testing.assert_close(tensor.grad, golden[f"grad.{name}"], atol=1e-6, rtol=1e-5, msg=name)


def test_pairs_that_agree_cost_nothing_and_a_batch_of_equals_costs_its_logarithm():
    unit = torch.eye(4)
    assert symmetric_info_nce(unit, unit, torch.tensor(100.0)).loss == pytest.approx(0.0, abs=1e-6)
    same = torch.ones(4, 1)
    assert symmetric_info_nce(same, same, torch.tensor(100.0)).loss == pytest.approx(math.log(4))


def test_in_chunks_loss_and_gradients_are_those_of_the_whole_batch():
    whole, chunked = PairTowers(), PairTowers()
    Contrastive()(whole, make_pairs(range(NUM_PAIRS))).backward()
    Contrastive(chunk_size=3)(chunked, make_pairs(range(NUM_PAIRS))).backward()
    assert chunked.calls == 6  # three chunks, each once forward and once more for its gradients
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradients(chunked)[name], gradient, msg=name)


def test_a_chunk_drops_the_same_when_it_is_computed_again():
    inputs, chunked, whole = make_pairs(range(NUM_PAIRS)), PairTowers(0.5), PairTowers(0.5)
    torch.manual_seed(5)
    first = Contrastive(chunk_size=4)(chunked, inputs)
    first.backward()
    torch.manual_seed(5)
    modality = torch.cat([whole.embed_pixels(chunk) for chunk in inputs.pixel_values.split(4)])
    text = whole.embed_text(inputs.input_ids)
    symmetric_info_nce(modality, text, whole.logit_scale.exp()).loss.backward()
    torch.testing.assert_close(chunked.visual.weight.grad, whole.visual.weight.grad)


@pytest.mark.parametrize(("before", "held"), [(-1.0, 0.0), (2.0, 2.0), (9.0, math.log(100.0))])
def test_the_scale_is_held_between_1_and_100_and_still_learns(before, held):
    model = PairTowers()
    model.logit_scale.data.fill_(before)
    Contrastive()(model, make_pairs(range(NUM_PAIRS))).backward()
    assert model.logit_scale.item() == pytest.approx(held)
    assert model.logit_scale.grad.item() != 0.0


def test_a_locked_text_tower_gets_no_gradient():
    model = PairTowers()
    model.text.requires_grad_(False)
    Contrastive(chunk_size=4)(model, make_pairs(range(NUM_PAIRS))).backward()
    assert model.text.weight.grad is None
    assert model.visual.weight.grad is not None


def test_what_makes_no_pairs_is_refused():
    with pytest.raises(InputError, match="2 pictures or clips and 3 texts make no pairs"):
        PairInputs(pixel_values=torch.zeros(2, 1, 3, 2, 2), input_ids=torch.zeros(3, 4, dtype=torch.int64))
    with pytest.raises(ConfigError, match="must be at least 1"):
        Contrastive(chunk_size=0)
