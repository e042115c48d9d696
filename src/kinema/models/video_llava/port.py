"""Video-LLaVA as transformers' class can hold it: no attention over time, and three tokens more.

V vocabulary, D hidden size.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from kinema.errors import ModelWarning, WeightsError
from kinema.models.languagebind.config import Modality
from kinema.models.video_llava.config import VideoLLaVAConfig
from kinema.models.video_llava.model import VideoLLaVA

_ROW_MULTIPLE = 64
"""The published conversion rounds the vocabulary up to a multiple of it: 32000 and 3 become 32064."""

_VOCABULARY = ("language_model.embed_tokens.weight", "language_model.lm_head.weight")


def for_transformers(
    model: VideoLLaVA, placeholders: Mapping[str, int]
) -> tuple[VideoLLaVAConfig, dict[str, Tensor]]:
    """Sizes and weights that transformers' class has a place for.

    New rows of the vocabulary are the mean of the old ones: nothing is learned of the tokens they stand for,
    and features take their place. The published conversion draws them from a narrow Gaussian around it.

    Args:
        model: with or without attention over time, which is left out with a warning.
        placeholders: ids of the tokens to make room for.

    Raises:
        WeightsError: if the model has towers that the class has not.
    """
    config, state = model.config, dict(model.state_dict())
    image, video = config.towers[Modality.IMAGE], config.towers[Modality.VIDEO]
    others = [modality for modality in config.towers if modality not in (Modality.IMAGE, Modality.VIDEO)]
    if others or replace(video, num_frames=None) != image:
        raise WeightsError(
            "transformers' class has two towers of one size, for images and video; this model has towers for "
            f"{', '.join(config.towers)}. Save it in the official layout."
        )
    temporal = [name for name in state if ".temporal." in name]
    if temporal:
        lost = sum(state.pop(name).numel() for name in temporal)
        warnings.warn(
            f"transformers' class has no attention over time: {lost:,} parameters of the video tower are "
            "left out, and it will see each frame alone. Keep the official layout too.",
            ModelWarning,
            stacklevel=3,
        )
    rows = -(
        -max(config.language.vocab_size, *(1 + token for token in placeholders.values())) // _ROW_MULTIPLE
    )
    vocab_size = rows * _ROW_MULTIPLE
    for name in _VOCABULARY:
        if name in state:
            state[name] = _with_rows(state[name], vocab_size)
    towers = dict.fromkeys((Modality.IMAGE, Modality.VIDEO), image)
    language = replace(config.language, vocab_size=vocab_size)
    return replace(config, towers=towers, language=language), state


def for_original(model: VideoLLaVA, num_pieces: int) -> tuple[VideoLLaVAConfig, dict[str, Tensor]]:
    """Sizes and weights as the original has them; rows of tokens that it does not know are left out.

    Args:
        model: with attention over time in its video tower.
        num_pieces: size of the official vocabulary.

    Raises:
        WeightsError: if the video tower has none, which nothing can rebuild.
    """
    config, state = model.config, dict(model.state_dict())
    if config.towers[Modality.VIDEO].num_frames is None:
        raise WeightsError(
            "this model has lost its attention over time, as everything in transformers' layout has; the "
            "official layout cannot be written without it. Take the official checkpoint."
        )
    for name in _VOCABULARY:
        if name in state:
            state[name] = state[name][:num_pieces]
    language = replace(config.language, vocab_size=len(state[_VOCABULARY[0]]))
    return replace(config, language=language), state


def warn_of_port(config: VideoLLaVAConfig) -> None:
    """Say what a checkpoint in transformers' layout lacks."""
    activation = config.towers[Modality.IMAGE].activation
    other = f", and its towers compute {activation}, where the original has gelu"
    warnings.warn(
        "this is a conversion for transformers: its video tower has lost the attention over time and sees "
        f"each frame alone{'' if activation == 'gelu' else other}. Features of video are not those of "
        "Video-LLaVA; load LanguageBind/Video-LLaVA-7B for them.",
        ModelWarning,
        stacklevel=4,
    )


def _with_rows(table: Tensor, num_rows: int) -> Tensor:
    """(V, D) to (num_rows, D)."""
    mean = table.float().mean(0, keepdim=True).to(table.dtype)
    return torch.cat([table, mean.expand(num_rows - len(table), -1)])
