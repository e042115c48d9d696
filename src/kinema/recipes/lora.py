"""Low-rank updates for any recipe: what ``--lora`` asks for, and ``--qlora`` beside weights in four bits.

The language model gets updates beside all linear layers of its stack, as the published options do
(DAMO-NLP-SG/VideoLLaMA3 at 05cee23, PKU-YuanGroup/Video-LLaVA at 984e65b); nothing else of the model does.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from kinema.errors import ConfigError
from kinema.models.loaded import Loaded
from kinema.recipes.recipe import Request
from kinema.training.adapters import Adapter, add_adapter, merged_tensors
from kinema.training.four_bits import four_bit_library
from kinema.training.optimizer import find_parts
from kinema.training.run import RunConfig
from kinema.training.stage import Stage

PART = "language_model"


def expect_holdable(request: Request, run: RunConfig) -> None:
    """Raise where weights that are asked for in four bits cannot be held so, before anything is read.

    Raises:
        ConfigError: if the run spreads them over processes.
        MissingExtraError: if what holds them is not installed.
    """
    if request.base_bits is None:
        return
    if run.shard:
        raise ConfigError(
            f"weights in 4 bits cannot be sharded, and run.shard is {', '.join(run.shard)}: every process "
            "holds them whole with --set run.shard=[], or --lora in place of --qlora keeps them as they are."
        )
    four_bit_library()


def with_updates(model: nn.Module, request: Request, stages: Sequence[Stage], updates: Adapter) -> None:
    """Put updates beside the language model, in place; what learns without any becomes float32.

    Args:
        model: may have shapes only; frozen weights keep the dtype that they have.
        request: its seed draws what updates begin with.
        stages: say what learns.
        updates: those of the recipe.

    Raises:
        ConfigError: if no stage trains the language model, or the model has updates by a recipe of its own.
    """
    if any(".low_rank." in name for name, _ in model.named_parameters()):
        raise ConfigError("this recipe trains low-rank updates as it is; leave --lora out.")
    if not any(PART in stage.learning_rates for stage in stages):
        raise ConfigError(f"--lora is for the {PART}, and no stage of this run trains it; leave it out.")
    if PART not in dict(model.named_children()):
        raise ConfigError(f"--lora is for the {PART}, and this model has none.")
    add_adapter(model, replace(updates, base_bits=request.base_bits), seed=request.seed)
    for stage in stages:
        for parameters in find_parts(model, stage.learning_rates).values():
            for parameter in parameters:
                parameter.data = parameter.data.float()


def merged(loaded: Loaded[Any, Any], whole: nn.Module) -> Loaded[Any, Any]:
    """A model with its updates folded in, each weight in its dtype; the one that learns keeps them.

    Args:
        loaded: has updates.
        whole: the same model without updates, on the meta device.
    """
    whole.load_state_dict(merged_tensors(loaded.model), assign=True)
    return replace(loaded, model=whole)
