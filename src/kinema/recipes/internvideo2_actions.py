"""Action recognition with InternVideo2: fine-tuning, attentive and linear probing, with the published
settings.

arXiv 2403.15377, 4.1 and its tables; OpenGVLab/InternVideo, the scripts, of which several build another model
than their name says: sizes follow the paper. ``datasets.action_lists`` reads their lists, and
``processors.clip_training`` draws clips as a stage says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kinema.datasets.mixture import Mixture
from kinema.errors import ConfigError
from kinema.models.internvideo2.classifier import ClassifierForm
from kinema.processors.augment import ClipAugmentation, RandomErasing
from kinema.processors.drawn_frames import FrameDraw
from kinema.processors.rand_augment import RandAugment
from kinema.processors.random_crops import AreaCrop
from kinema.processors.views import FrameRule, ViewsConfig
from kinema.training.classification import Classification, ClipMixing
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import Repeated, Shuffled
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

_ENCODER = "vision_encoder.encoder"
UNDECAYED = (f"{_ENCODER}.positions",)
_HEADS: dict[ClassifierForm, tuple[str, ...]] = {
    "plain": ("norm", "head"),
    "residual_mlp": ("residual_mlp", "norm", "head"),
    "frame_means": ("frame_reader", "norm", "head"),
}

STRONG = RandAugment(magnitude=7, num_changes=4, spread=0.5)
WEAK = RandAugment(magnitude=5, num_changes=2, spread=0.25)
"""Of fine-tuning, and of probing."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One run."""

    batch_size: int
    """Videos a step, of all processes together."""
    epochs: int
    base_rate: float
    """For 256 clips a step; rates are in proportion to the clips."""
    last_rate: float = 1e-6
    """What it falls to, for 256 clips."""
    warmup_epochs: int = 0
    repeats: int = 1
    """How often each video of a batch is in it, drawn anew."""
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
    num_frames: int = 8
    rule: FrameRule = "sparse"
    """Which frames are drawn."""
    flips: bool = True
    """Whether clips are mirrored: not where left and right are what they are about."""
    rand_augment: RandAugment = STRONG
    size: int = 224
    """Pixels a side."""
    num_test_clips: int = 4
    num_test_crops: int = 3

    @property
    def learning_rate(self) -> float:
        """The peak."""
        return self.base_rate * self.batch_size * self.repeats / 256

    @property
    def clips(self) -> Mapping[str, object]:
        """Settings of ``ClipTraining``."""
        augmentation = ClipAugmentation(
            rand_augment=self.rand_augment,
            crop=AreaCrop(min_area=0.08),
            flip_share=0.5 if self.flips else 0.0,
            erasing=RandomErasing(share=0.25),
        )
        frames = FrameDraw(num_frames=self.num_frames, rule=self.rule)
        return {"size": self.size, "frames": frames, "augmentation": augmentation}

    @property
    def test_views(self) -> ViewsConfig:
        """How the published test looks at a video, for ``evaluation.actions``."""
        return ViewsConfig(
            num_frames=self.num_frames,
            num_clips=self.num_test_clips,
            num_crops=self.num_test_crops,
            size=self.size,
            rule=self.rule,
        )


def _tuned(
    batch_size: int, epochs: int, warmup_epochs: int, rate: float, decay: float, drop: float
) -> Published:
    return Published(
        batch_size=batch_size,
        epochs=epochs,
        warmup_epochs=warmup_epochs,
        base_rate=rate,
        repeats=2,
        layer_decay=decay,
        drop_path=drop,
    )


def _directed(run: Published, *, num_test_clips: int) -> Published:
    """The same on Something-Something."""
    return replace(run, rule="ssv2", flips=False, num_test_clips=num_test_clips)


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
        last_rate=0.0,
        learns_pool=pool,
        form=form,
        weight_decay=0.0,
        num_frames=16,
        rand_augment=WEAK,
        num_test_clips=1,
    )


def _untrimmed() -> Published:
    """Long videos: a frozen encoder seen as in fine-tuning."""
    run = replace(_probed(1024, 40, 0, 2e-4), dropout=0.5)
    return replace(run, rand_augment=STRONG, num_test_clips=4)


_KINETICS_1B = _tuned(256, 3, 0, 1e-5, 0.9, 0.3)
_KINETICS_6B = _tuned(256, 1, 0, 1e-5, 0.915, 0.35)
_MIT_6B = replace(_tuned(256, 8, 2, 2.5e-5, 0.915, 0.35), repeats=1, last_rate=0.0)

FINE_TUNED = {
    "1b_k710": _tuned(256, 9, 2, 5e-5, 0.9, 0.3),
    "6b_k710": replace(_tuned(256, 6, 1, 2.5e-5, 0.915, 0.35), last_rate=0.0),
    "1b_kinetics": _KINETICS_1B,
    "6b_kinetics": _KINETICS_6B,
    "1b_kinetics_f16": replace(_KINETICS_1B, num_frames=16),
    "6b_kinetics_f16": replace(_KINETICS_6B, num_frames=16, batch_size=128),
    "1b_mit": replace(_tuned(256, 15, 5, 5e-5, 0.9, 0.3), repeats=1),
    "6b_mit": _MIT_6B,
    "6b_mit_336": replace(
        _MIT_6B, epochs=2, warmup_epochs=0, base_rate=1e-5, drop_path=0.4, weight_decay=0.1, size=336
    ),
    "1b_ssv1": _directed(_tuned(256, 9, 3, 1e-4, 0.915, 0.3), num_test_clips=2),
    "6b_ssv1": _directed(replace(_tuned(256, 7, 2, 7.5e-5, 0.915, 0.4), last_rate=0.0), num_test_clips=4),
    "1b_ssv2": _directed(_tuned(256, 8, 3, 1e-4, 0.915, 0.3), num_test_clips=2),
    "6b_ssv2": _directed(replace(_tuned(256, 6, 2, 7.5e-5, 0.915, 0.4), last_rate=0.0), num_test_clips=5),
    "s14_k710": _tuned(256, 35, 5, 2e-4, 0.75, 0.1),
    "b14_k710": _tuned(256, 20, 4, 2e-4, 0.75, 0.1),
    "l14_k710": _tuned(256, 14, 2, 2e-4, 0.75, 0.1),
    "small_kinetics": _tuned(1024, 5, 1, 2e-5, 0.75, 0.1),
    "s14_ssv2": _directed(_tuned(256, 30, 5, 5e-4, 0.75, 0.1), num_test_clips=4),
    "l14_ssv2": _directed(_tuned(256, 10, 2, 2e-4, 0.85, 0.2), num_test_clips=2),
}
"""By model and data. ``kinetics`` is 400, 600 or 700, from the model of 710, ``mit`` goes on from 400, its
336 pixels from the 6B's of 224, and ``small`` is S, B or L."""

PROBED = {
    "1b_k710_attentive": _probed(1024, 25, 5, 2e-4),
    "6b_k710_attentive": _probed(1024, 20, 4, 1e-4),
    "kinetics_attentive": _probed(1024, 3, 0, 1e-5),
    "1b_mit_attentive": _probed(1024, 35, 5, 2e-4),
    "6b_mit_attentive": _probed(2048, 30, 5, 1e-4),
    "6b_anet_attentive": _untrimmed(),
    "6b_hacs_attentive": _untrimmed(),
    "1b_ssv2_attentive": _directed(_probed(1024, 25, 5, 2e-4, form="residual_mlp"), num_test_clips=1),
    "6b_ssv2_attentive": _directed(_probed(1024, 20, 4, 1e-4, form="residual_mlp"), num_test_clips=1),
    "1b_k400_linear": replace(_probed(1024, 15, 3, 1e-3, pool=False), last_rate=1e-6),
    "6b_k400_linear": _probed(1024, 9, 2, 5e-4, pool=False),
    "1b_ssv2_linear": _directed(_probed(1024, 25, 5, 1e-4, pool=False, form="frame_means"), num_test_clips=1),
    "6b_ssv2_linear": _directed(_probed(1024, 20, 4, 1e-4, pool=False, form="frame_means"), num_test_clips=1),
    "ucf101_linear": replace(
        _probed(512, 20, 0, 1e-3, pool=False),
        dropout=0.5,
        rule="dense",
        num_test_clips=2,
        num_test_crops=1,
    ),
    "hmdb51_linear": replace(
        _probed(512, 20, 0, 2e-3, pool=False),
        dropout=0.3,
        rule="ssv2",
        num_test_clips=2,
        num_test_crops=1,
    ),
}
"""By model, data and kind. MiT's go on from those of Kinetics-710; ActivityNet and HACS learn on the 6B that
was fine-tuned on Kinetics-400. Those of UCF101 and HMDB51 are the same for the 1B and the 6B, but that on
UCF101 of the 6B after stage 2 has no dropout."""


def recognise_actions(name: str, data: Mixture, num_samples: int) -> list[Stage]:
    """One run, for a model that ``start_classifier`` made with the form of the run.

    Args:
        name: a key of ``FINE_TUNED`` or ``PROBED``.
        data: labelled videos, for a ``ClipTraining``, which draws frames, crops and colours as the run says.
        num_samples: how many videos an epoch has.

    Raises:
        ConfigError: if there is no such run.
    """
    runs = FINE_TUNED | PROBED
    if name not in runs:
        raise ConfigError(f"there is no run {name!r}; there are {', '.join(runs)}.")
    run = runs[name]
    stage = Stage(
        name=name,
        learning_rates=learning_rates(run),
        data=data,
        num_steps=max(1, num_samples // run.batch_size) * run.epochs,
        batch_size=run.batch_size * run.repeats,
        order=Repeated(Shuffled(num_samples), run.repeats),
        loss=Classification(mixing=ClipMixing()),
        schedule=Cosine(
            warmup_ratio=run.warmup_epochs / run.epochs, final_ratio=run.last_rate / run.base_rate
        ),
        optimizer=OptimizerConfig(
            weight_decay=run.weight_decay,
            undecayed=UNDECAYED if run.layer_decay is not None else (),
            layer_decay={} if run.layer_decay is None else {_ENCODER: run.layer_decay},
            betas=(0.9, 0.999),
            max_grad_norm=float("inf"),
        ),
        processor=run.clips,
    )
    return [stage]


def learning_rates(run: Published) -> Mapping[str, float]:
    """The peak rate of every part that learns; in fine-tuning, that of the encoder's end."""
    rates = dict.fromkeys(_HEADS[run.form], run.learning_rate)
    if run.learns_pool:
        rates["vision_encoder.pool"] = run.learning_rate
    if run.layer_decay is not None:
        rates[_ENCODER] = run.learning_rate
    return rates
