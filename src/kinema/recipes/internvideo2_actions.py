"""Action recognition with InternVideo2: fine-tuning, attentive and linear probing, with the published
settings.

arXiv 2403.15377, 4.1 and its tables; OpenGVLab/InternVideo, the scripts, of which several build another model
than their name says: sizes follow the paper. Random crops, erasing and RandAugment are up to the data.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kinema.datasets.mixture import Mixture
from kinema.errors import ConfigError
from kinema.models.internvideo2.classifier import ClassifierForm
from kinema.training.classification import Classification, ClipMixing
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import Repeated, Shuffled
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

UNDECAYED = ("vision_encoder.encoder.positions",)
_LAST_RATE = 1e-6
_HEADS: dict[ClassifierForm, tuple[str, ...]] = {
    "plain": ("norm", "head"),
    "residual_mlp": ("residual_mlp", "norm", "head"),
    "frame_means": ("frame_reader", "norm", "head"),
}


@dataclass(frozen=True, kw_only=True)
class Published:
    """One run."""

    batch_size: int
    """Videos a step, of all processes together."""
    epochs: int
    base_rate: float
    """For 256 clips a step; the rate is in proportion to the clips."""
    warmup_epochs: int = 0
    views: int = 1
    """How often each video of a batch is seen in it, cropped anew."""
    layer_decay: float | None = None
    """What the rate of a layer is multiplied with to get that of the one before; None where layers are
    frozen."""
    drop_path: float = 0.0
    """Of the encoder; a setting of its config."""
    dropout: float = 0.0
    """Before the head; a setting of its config."""
    learns_pool: bool = True
    """Whether the attention pool learns: not in linear probing."""
    form: ClassifierForm = "plain"
    weight_decay: float = 0.05
    is_mixed: bool = True
    """Whether clips are mixed: in fine-tuning."""

    @property
    def learning_rate(self) -> float:
        """The peak."""
        return self.base_rate * self.batch_size * self.views / 256


def _tuned(
    batch_size: int, epochs: int, warmup_epochs: int, rate: float, decay: float, drop: float
) -> Published:
    return Published(
        batch_size=batch_size,
        epochs=epochs,
        warmup_epochs=warmup_epochs,
        base_rate=rate,
        views=2,
        layer_decay=decay,
        drop_path=drop,
    )


def _probed(
    batch_size: int,
    epochs: int,
    warmup_epochs: int,
    rate: float,
    *,
    pool: bool = True,
    form: ClassifierForm = "plain",
) -> Published:
    return Published(
        batch_size=batch_size,
        epochs=epochs,
        warmup_epochs=warmup_epochs,
        base_rate=rate,
        learns_pool=pool,
        form=form,
        weight_decay=0.0,
        is_mixed=False,
    )


FINE_TUNED = {
    "1b_k710": _tuned(256, 9, 2, 5e-5, 0.9, 0.3),
    "6b_k710": _tuned(256, 6, 1, 2.5e-5, 0.915, 0.35),
    "1b_kinetics": _tuned(256, 3, 0, 1e-5, 0.9, 0.3),
    "6b_kinetics": _tuned(256, 1, 0, 1e-5, 0.915, 0.35),
    "1b_ssv2": _tuned(256, 8, 3, 1e-4, 0.915, 0.3),
    "6b_ssv2": _tuned(256, 6, 2, 7.5e-5, 0.915, 0.4),
    "s14_k710": _tuned(256, 35, 5, 2e-4, 0.75, 0.1),
    "b14_k710": _tuned(256, 20, 4, 2e-4, 0.75, 0.1),
    "l14_k710": _tuned(256, 14, 2, 2e-4, 0.75, 0.1),
    "small_kinetics": _tuned(1024, 5, 1, 2e-5, 0.75, 0.1),
    "s14_ssv2": _tuned(256, 30, 5, 5e-4, 0.75, 0.1),
    "l14_ssv2": _tuned(256, 10, 2, 2e-4, 0.85, 0.2),
}
"""By model and data. ``kinetics`` is 400, 600 or 700, from the model of 710, and ``small`` is S, B or L."""

PROBED = {
    "1b_k710_attentive": _probed(1024, 25, 5, 2e-4),
    "6b_k710_attentive": _probed(1024, 20, 4, 1e-4),
    "kinetics_attentive": _probed(1024, 3, 0, 1e-5),
    "1b_ssv2_attentive": _probed(1024, 25, 5, 2e-4, form="residual_mlp"),
    "6b_ssv2_attentive": _probed(1024, 20, 4, 1e-4, form="residual_mlp"),
    "1b_k400_linear": _probed(1024, 15, 3, 1e-3, pool=False),
    "6b_k400_linear": _probed(1024, 9, 2, 5e-4, pool=False),
    "1b_ssv2_linear": _probed(1024, 25, 5, 1e-4, pool=False, form="frame_means"),
    "6b_ssv2_linear": _probed(1024, 20, 4, 1e-4, pool=False, form="frame_means"),
}
"""By model, data and kind. Batches of SSv2's probes are taken to be those of Kinetics'."""


def recognise_actions(name: str, data: Mixture, num_samples: int, *, num_layers: int) -> list[Stage]:
    """One run, for a model that ``start_classifier`` made with the form of the run.

    Args:
        name: a key of ``FINE_TUNED`` or ``PROBED``.
        data: labelled clips of 8 or 16 frames.
        num_samples: how many videos an epoch has.
        num_layers: of the encoder.

    Raises:
        ConfigError: if there is no such run.
    """
    runs = FINE_TUNED | PROBED
    if name not in runs:
        raise ConfigError(f"there is no run {name!r}; there are {', '.join(runs)}.")
    run = runs[name]
    stage = Stage(
        name=name,
        learning_rates=learning_rates(run, num_layers),
        data=data,
        num_steps=max(1, num_samples // run.batch_size) * run.epochs,
        batch_size=run.batch_size * run.views,
        order=Repeated(Shuffled(num_samples), run.views),
        loss=Classification(mixing=ClipMixing() if run.is_mixed else None),
        schedule=Cosine(
            warmup_ratio=run.warmup_epochs / run.epochs, final_ratio=_LAST_RATE / run.learning_rate
        ),
        optimizer=OptimizerConfig(
            weight_decay=run.weight_decay,
            undecayed=UNDECAYED if run.layer_decay is not None else (),
            betas=(0.9, 0.999),
            max_grad_norm=float("inf"),
        ),
    )
    return [stage]


def learning_rates(run: Published, num_layers: int) -> Mapping[str, float]:
    """The peak rate of every part that learns; in fine-tuning, lower ones the nearer to the pixels."""
    rates = dict.fromkeys(_HEADS[run.form], run.learning_rate)
    if run.learns_pool:
        rates["vision_encoder.pool"] = run.learning_rate
    if run.layer_decay is not None:
        encoder = "vision_encoder.encoder"
        for part in ("class_token", "patch_embedding", "positions"):
            rates[f"{encoder}.{part}"] = run.learning_rate * run.layer_decay ** (num_layers + 1)
        for layer in range(num_layers):
            rates[f"{encoder}.layers.{layer}"] = run.learning_rate * run.layer_decay ** (num_layers - layer)
    return rates
