"""What a question will take of a model that is not loaded, and need not be downloaded."""

from pathlib import Path
from typing import Unpack

import torch

from kinema.errors import InputError
from kinema.hub.download import SETTINGS_FILES
from kinema.inference.load import choose_device, choose_dtype, default_sampling, parse_device, parse_dtype
from kinema.inference.plan import Plan, make_plan
from kinema.inference.profile import Profile
from kinema.inference.request import AskOptions, Media, build_request
from kinema.inference.runner import Runner, RunSettings
from kinema.models.registry import NANO, find_checkpoint, load_outline


def plan_unloaded(
    source: str | Path | None,
    media: Media,
    question: str | None = None,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    revision: str | None = None,
    offline: bool = False,
    **options: Unpack[AskOptions],
) -> Plan:
    """Forecast tokens and memory, as ``VideoLanguageModel.plan`` would once the model is loaded.

    Of the hub, only settings and vocabulary are fetched: a few megabytes.

    Args:
        source: a hub id, a folder, or None for ``nano``.
        media: see ``VideoLanguageModel.ask``.
        question: what would be asked; None for a description.
        device: where the model would be; None takes the best there is.
        dtype: in which its weights would be; None takes what suits the device.
        revision: a branch, tag or commit on the hub.
        offline: use the hub's cache only.
        **options: see ``AskOptions``.

    Raises:
        WeightsError: if there is no such checkpoint.
        InputError: if the model does not take what is given, or embeds.
        MediaError: if a file cannot be read.
    """
    place = choose_device() if device is None else parse_device(device)
    number = choose_dtype(place) if dtype is None else parse_dtype(dtype)
    name = NANO if source is None else source
    folder = find_checkpoint(name, revision=revision, offline=offline, files=SETTINGS_FILES)
    outline = load_outline(folder, dtype=number)
    if outline.generation is None:
        raise InputError(f"{name} embeds and cannot be asked, so there is no answer to plan for.")
    asked = Profile.load(folder).caption_prompt if question is None else question
    request = build_request(media, asked, options, default_sampling(outline.generation))
    runner = Runner(
        outline.model,
        outline.processor,
        outline.generation.eos_token_ids,
        RunSettings.for_device(place),
        device=place,
    ).with_limits(max_tokens=request.max_tokens)
    return make_plan(runner, [request.conversation], request.sampling, weights_are_loaded=False)
