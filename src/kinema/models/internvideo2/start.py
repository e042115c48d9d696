"""A student before its training: drawn as OpenGVLab/InternVideo draws it."""

import torch
from torch import nn

from kinema.models.internvideo2.student import InternVideo2Student, StudentConfig
from kinema.modules.vision.space_time_block import SpaceTimeBlock


def start_student(config: StudentConfig, seed: int) -> InternVideo2Student:
    """Matrices from a normal distribution of 0.02, cut at 2; what writes into a residual is smaller.

    Layer i, counted from 1, is divided by the root of 2i there. Biases are zero, norms one, positions sines
    and cosines.

    Args:
        config: sizes.
        seed: of all that is drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    student = InternVideo2Student(config)
    encoder = student.vision_encoder.encoder
    for module in student.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.trunc_normal_(encoder.class_token, std=0.02, generator=generator)
    with torch.no_grad():
        for number, layer in enumerate(encoder.layers, start=1):
            assert isinstance(layer, SpaceTimeBlock)
            for writer in (layer.attention.out, layer.mlp.fc2):
                writer.weight /= (2 * number) ** 0.5
    return student
