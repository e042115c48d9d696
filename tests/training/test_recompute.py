"""Activation checkpointing and compilation change what is held, and when; never the numbers."""

import shutil
from pathlib import Path

import pytest
import torch
from shared_captions import join, small_videollama3
from torch.autograd.graph import saved_tensors_hooks

from kinema.training.accumulation import backward
from kinema.training.losses import NextToken
from kinema.training.parallel import trainee
from kinema.training.run import RunConfig

INPUTS = join([0, 1, 2, 3])


def learn(**settings):
    """Gradients of a batch, and the bytes that autograd keeps on the way there."""
    model, kept = small_videollama3(), {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = (
            tensor  # which stays, so that its place is not taken again
        )
        return tensor

    with trainee(model, RunConfig(out_dir=Path(), **settings)) as learner:
        names = list(learner.model.state_dict())
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            learner(NextToken(), INPUTS)
        backward(NextToken(), learner, [INPUTS])
    assert names == list(small_videollama3().state_dict())
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return gradients, sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recomputed_layers_keep_less_and_have_the_same_gradients(precision):
    gradients, kept = learn(precision=precision)
    again, kept_less = learn(precision=precision, activation_checkpointing=True)
    assert kept_less < kept / 3
    for name, gradient in gradients.items():
        assert torch.equal(again[name], gradient), name


def test_layers_are_as_they_were_when_training_has_ended():
    model = small_videollama3()
    with trainee(model, RunConfig(out_dir=Path(), activation_checkpointing=True)):
        assert "forward" in vars(model.language_model.layers[0])
    assert "forward" not in vars(model.language_model.layers[0])


def test_nothing_is_recomputed_where_there_is_no_gradient():
    model, calls = small_videollama3(), []
    model.language_model.layers[0].mlp.register_forward_hook(lambda *_: calls.append(1))
    with trainee(model, RunConfig(out_dir=Path(), activation_checkpointing=True)), torch.inference_mode():
        model(INPUTS)
    assert calls == [1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_layers_have_the_same_gradients():
    gradients, _ = learn()
    compiled, _ = learn(compile=True)
    for name, gradient in gradients.items():
        torch.testing.assert_close(compiled[name], gradient, atol=1e-5, rtol=1e-4, msg=name)
