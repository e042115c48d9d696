"""Encoders that yield every hidden state, asked for the last alone."""

import weakref

import pytest
import torch

from kinema.modules.audio.beats import BEATs, BEATsConfig
from kinema.modules.text.clip import CLIPText, CLIPTextConfig
from kinema.modules.vision.videomae import VideoMAE, VideoMAEConfig

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_layers": 4, "num_heads": 2}


def beats():
    return BEATs(BEATsConfig(**SIZES, patch_embedding_size=8, position_kernel=4, position_groups=2))


def clip_text():
    return CLIPText(CLIPTextConfig(**SIZES, vocab_size=20))


def videomae():
    return VideoMAE(VideoMAEConfig(**SIZES, patch_size=4))


@torch.no_grad()
@pytest.mark.parametrize(
    ("build", "inputs"),
    [
        (beats, torch.zeros(1, 32, 32)),
        (clip_text, torch.tensor([[1, 2, 19]])),
        (videomae, torch.zeros(1, 2, 3, 8, 8)),
    ],
)
def test_a_layer_finds_no_state_but_the_one_that_enters_it(build, inputs):
    encoder, states, alive = build(), [], []

    def look(layer, arguments, output):
        alive.append(sum(state() is not None for state in states))
        states.append(weakref.ref(output))

    for layer in encoder.layers:
        layer.register_forward_hook(look)
    encoder(inputs)
    assert alive == [0, 1, 1, 1]
