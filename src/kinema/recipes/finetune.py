"""Any model that answers, on your own data: one stage, sensible for one device of 24 GB.

The rates are those of the published tuning stages where all weights learn, and those of the published
low-rank option (PKU-YuanGroup/Video-LLaVA at 984e65b: 2e-4 for the updates, 2e-5 for the connector) where
``--lora`` is asked for. Eyes and ears stay as they are.

    kinema train finetune --model DAMO-NLP-SG/VideoLLaMA3-2B --data my.jsonl --lora
"""

from typing import Any

from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError
from kinema.hub.download import SETTINGS_FILES
from kinema.models import registry
from kinema.models.loaded import Loaded
from kinema.recipes.published_data import PublishedData
from kinema.recipes.recipe import Finite, Outline, Recipe, Request, num_steps
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import Shuffled
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

BATCH_SIZE = 16
"""Of data that fill eight of them; fewer samples make eight smaller ones."""
EPOCHS = 3.0
BRIDGES = ("connector", "bridge")
"""What stands between eyes and language model, by the families' names of it."""


def finetune_stage(name: str, source: Finite | PublishedData, request: Request) -> Stage:
    """Connector and language model learn.

    Raises:
        ConfigError: if the data do not fill a batch, or the model writes no text.
    """
    if isinstance(source, PublishedData):
        raise ConfigError("finetune learns from your own data.")
    children = dict(_outline(request).model.named_children())
    if "language_model" not in children:
        raise ConfigError(f"{request.model} embeds and writes no text; finetune takes models that answer.")
    bridges = [name for name in BRIDGES if name in children]
    batch_size = request.batch_size or min(BATCH_SIZE, max(1, len(source) // 8))
    return Stage(
        name=name,
        learning_rates={**dict.fromkeys(bridges, 2e-5), "language_model": 2e-4 if request.lora else 2e-5},
        data=mixture((source, 1.0)),
        num_steps=num_steps(source, batch_size, request.epochs or EPOCHS, name),
        batch_size=batch_size,
        order=Shuffled(len(source)),
        schedule=Cosine(warmup_ratio=0.03),
        optimizer=OptimizerConfig(weight_decay=0.0, max_grad_norm=1.0),
    )


def _model(request: Request) -> str:
    if request.model is None:
        raise ConfigError("finetune begins from a model; name it with --model: a hub id, a folder, or nano.")
    return request.model


def _outline(request: Request) -> Outline:
    folder = registry.find_checkpoint(_model(request), files=SETTINGS_FILES)
    loaded = registry.load_outline(folder, dtype=request.dtype)
    return Outline(model=loaded.model, processor=loaded.processor)


def _start(request: Request) -> Loaded[Any, Any]:
    return registry.load_model(_model(request), dtype=request.dtype)


FINETUNE = Recipe(
    name="finetune",
    summary="any model that answers, on your own data",
    data={"tune": None},
    parts={},
    outline=_outline,
    start=_start,
    stage=finetune_stage,
    save=registry.save_model,
    twin="nano_finetune",
    on_gpus={"activation_checkpointing": True, "max_samples_at_once": 1},
)
