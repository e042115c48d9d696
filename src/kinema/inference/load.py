"""``kinema.load``: a checkpoint by name to a model that answers or embeds, on the best device there is."""

from collections.abc import Mapping
from math import prod
from pathlib import Path

import torch

from kinema.errors import ConfigError, OutOfBudgetError
from kinema.hub.files import TensorSource
from kinema.hub.generation import GenerationDefaults
from kinema.inference.embedding import EmbeddingModel
from kinema.inference.engine import VideoLanguageModel
from kinema.inference.memory import free_bytes
from kinema.inference.profile import Profile
from kinema.inference.runner import RunSettings
from kinema.inference.sampling import SamplingConfig
from kinema.inference.tower import Tower
from kinema.models.registry import NANO, find_checkpoint, find_parts, load_model, open_weights


def load(
    source: str | Path | None = None,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    compat: str = "official",
    parts: Mapping[str, str | Path] | None = None,
    revision: str | None = None,
    offline: bool = False,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    settings: RunSettings | None = None,
) -> VideoLanguageModel | EmbeddingModel:
    """Load a model together with its processor.

    What comes back depends on what the checkpoint is made for: most can be asked, such as VideoLLaMA3;
    LanguageBind and InternVideo2 embed.

    Args:
        source: a hub id such as ``"DAMO-NLP-SG/VideoLLaMA3-2B"``, a folder, a file of weights, here or as
            ``"owner/name/weights.pth"`` on the hub, or None for the embedded ``nano``.
        device: None takes CUDA where there is one, then MPS, then the CPU.
        dtype: such as ``"bfloat16"``; None takes float32 on a CPU, else bfloat16 where the device has it,
            else float16.
        compat: whose processor to reproduce, a mode of the family.
        parts: what was published apart from the checkpoint and is needed beside it, by name: hub ids, folders
            or files, such as ``{"vision": "OpenGVLab/InternVideo2-Stage2_1B-224p-f4"}``. What is missing is
            named in an error; vocabularies are fetched.
        revision: a branch, tag or commit on the hub.
        offline: use the hub's cache only.
        token: for gated or private repositories.
        cache_dir: where downloads are kept; None for the hub's own cache.
        settings: how much is worked on at a time by a model that is asked; None for what suits the device.

    Raises:
        WeightsError: if there is no such checkpoint, it is not whole, or a part is missing.
        OutOfBudgetError: if the weights are larger than what the device has left.
        ConfigError: if there is no such device, dtype or part, or ``settings`` are given for a model that
            embeds.
    """
    place = choose_device() if device is None else parse_device(device)
    number = choose_dtype(place) if dtype is None else parse_dtype(dtype)
    name = NANO if source is None else source
    path = find_checkpoint(name, revision=revision, offline=offline, token=token, cache_dir=cache_dir)
    found = find_parts(path, parts, offline=offline, token=token, cache_dir=cache_dir)
    check_room(open_weights(path, found), place, number)
    loaded = load_model(path, dtype=number, device=place, compat=compat, parts=found)
    if loaded.generation is None:
        if settings is not None:
            raise ConfigError(
                f"{name} embeds and cannot be asked; pass batch_size to its embed methods instead."
            )
        return EmbeddingModel(*(Tower(*pair) for pair in ((loaded.model, loaded.processor), *loaded.beside)))
    return VideoLanguageModel(
        loaded.model,
        loaded.processor,
        eos_ids=loaded.generation.eos_token_ids,
        sampling=default_sampling(loaded.generation),
        settings=settings,
        profile=Profile.load(loaded.folder),
    )


def choose_device() -> torch.device:
    """The fastest kind of device of this machine."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_dtype(device: torch.device) -> torch.dtype:
    """The dtype that suits a device: half the memory where it costs no speed."""
    if device.type == "cpu":
        return torch.float32
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def parse_device(device: torch.device | str) -> torch.device:
    """A device of this machine.

    Raises:
        ConfigError: if there is none of that name.
    """
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device {device!r} cannot be used here ({reason}). Leave it out to take the best there is."
        ) from error
    return place


def parse_dtype(dtype: torch.dtype | str) -> torch.dtype:
    """A dtype that a model can work in, by its name in torch."""
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    found = dtypes.get(str(dtype).removeprefix("torch."))
    if found is None:
        raise ConfigError(f"there is no dtype {dtype!r} for a model; there are: {', '.join(dtypes)}.")
    return found


def check_room(weights: TensorSource, device: torch.device, dtype: torch.dtype) -> None:
    """Refuse weights that are larger than what a device has left, before any is read.

    Raises:
        OutOfBudgetError: with what would fit.
    """
    needed = sum(prod(shape) for shape in weights.shapes.values()) * dtype.itemsize
    free = free_bytes(device)
    if free is None or needed <= free:
        return
    advice = "take a smaller model, or another device"
    if needed * 2 <= free * dtype.itemsize:
        advice = "pass dtype='bfloat16'"
    raise OutOfBudgetError(
        f"{weights.origin}: its weights take {needed / 1e9:.1f} GB in {str(dtype).removeprefix('torch.')}, "
        f"but {device} has {free / 1e9:.1f} GB left; {advice}."
    )


def default_sampling(generation: GenerationDefaults) -> SamplingConfig:
    """The likeliest answer, so that the same question gets the same one, with the checkpoint's own penalty.

    That is how VideoLLaMA3 was evaluated; its ``generation_config.json`` draws at random, which any question
    may ask for.
    """
    return SamplingConfig(repetition_penalty=generation.repetition_penalty)
