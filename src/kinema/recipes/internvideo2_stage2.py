"""InternVideo2's stage 2: as it was released, and as the paper tells it.

arXiv 2403.15377, 3.2; OpenGVLab/InternVideo, ``scripts/pretraining/stage2``. The paper first aligns masked
video, sound and text with the ears frozen, then goes on without masks and with the eyes frozen. Of the second
step nothing was released, and of the 1B, which hears nothing, there is the first alone.

A run needs an encoder of stage 1, ``bert-large-uncased`` and BEATs to start from, and pairs of clips and
captions, which are not ours to ship. Every batch holds one kind of media: images, videos, sound, or videos
with their sound.
"""

from dataclasses import dataclass

from kinema.datasets.joined import Joined
from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError
from kinema.processors.augment import ClipAugmentation
from kinema.processors.random_crops import AreaCrop
from kinema.training.alignment import Alignment
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import OneKind
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

EYES = ("vision_encoder.vision_encoder",)
"""The tower; the decoders that come along from stage 1 never learn here."""
EARS = ("hearing.audio_encoder",)
READING = ("text_encoder", "vision_projection", "text_projection", "match_head", "temperature")
HEARING = tuple(
    f"hearing.{name}"
    for name in ("audio_projection", "audio_tokens", "vision_tokens", "joint_projection", "match_heads")
)
"""What of a model that hears lies behind its ears."""

AUGMENTATION = ClipAugmentation(crop=AreaCrop(min_area=0.5, resampling="bicubic"), flip_share=0.5)
"""Of pictures and clips; no colour is changed."""

UNDECAYED = ("vision_encoder.vision_encoder.encoder.positions",)
"""Position tables, which weight decay leaves alone."""

VIDEO_TERMS = ("vtc", "vtm", "mlm")
AUDIO_TERMS = ("atc", "atm", "amlm")
AUDIO_VIDEO_TERMS = ("avtc", "avtm", "avmlm")
CAPTIONS = {
    **dict.fromkeys(VIDEO_TERMS, "video"),
    **dict.fromkeys(AUDIO_TERMS, "audio"),
    **dict.fromkeys(AUDIO_VIDEO_TERMS, "avs"),
}
"""What each term reads where there are captions of what is seen, of what is heard, and of all."""
UNMASKED_CAPTIONS = {**CAPTIONS, **dict.fromkeys(AUDIO_VIDEO_TERMS, "av")}
"""The same in the paper's unmasked step (3.2), which tells clips with their sound by what is seen and heard,
and clips without it a second time by all that is seen, heard and said."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """How one size was trained."""

    batch_size: int
    """Samples a step, of all processes together."""
    epochs: int
    hears: bool
    max_tokens: int
    """Most tokens of a caption, start and end included."""
    learning_rate: float = 5e-5
    warmup_epochs: int = 1


STAGE2 = {
    "1b": Published(batch_size=64 * 64, epochs=10, hears=False, max_tokens=32),
    "6b": Published(batch_size=256 * 64, epochs=5, hears=True, max_tokens=40),
}
"""By size."""


def stage2_released(size: str, data: Joined) -> list[Stage]:
    """The one step whose settings were released: masked, the ears frozen, contrast as its code weakens it.

    Args:
        size: a key of ``STAGE2``.
        data: images, and videos, with captions; of the 6B, also videos with their sound.

    Raises:
        ConfigError: if there is no such size.
    """
    return [_masked(size, data, Alignment(weights=_masked_weights(size), gradient="local"))]


def stage2_paper(data: Joined, unmasked_data: Joined, *, epochs: int = 1) -> list[Stage]:
    """Both steps of the paper, of the 6B: masked with the ears frozen, then unmasked with the eyes frozen.

    The second matches sound alone, too, for which the model needs ``SoundConfig.has_match_head``.

    Args:
        data: images, videos, and videos with their sound, with captions that tell of all that is seen, heard
            and said.
        unmasked_data: images and videos with captions called ``video``, sound with ``audio``, videos with
            their sound with ``av``, and videos with ``avs`` alone, each kind apart. The paper has 25 million
            of the first, 0.5 and 50 million of the others.
        epochs: of the second step, which no source tells.
    """
    return [_masked("6b", data, Alignment(weights=_masked_weights("6b"))), _unmasked(unmasked_data, epochs)]


def _unmasked(data: Joined, epochs: int) -> Stage:
    terms = VIDEO_TERMS + AUDIO_TERMS + AUDIO_VIDEO_TERMS
    loss = Alignment(
        weights=dict.fromkeys(terms, 1.0),
        captions=UNMASKED_CAPTIONS,
        video_mask_ratio=0.0,
        image_mask_ratio=0.0,
    )
    parts = (*EARS, *READING, *HEARING)
    return _stage("unmasked", STAGE2["6b"], parts, data, loss, epochs=epochs, undecayed=())


def _masked(size: str, data: Joined, loss: Alignment) -> Stage:
    published = _find(size)
    parts = (*EYES, *READING, *(HEARING if published.hears else ()))
    return _stage("masked", published, parts, data, loss, epochs=published.epochs, undecayed=UNDECAYED)


def _masked_weights(size: str) -> dict[str, float]:
    return dict.fromkeys(VIDEO_TERMS + (AUDIO_VIDEO_TERMS if _find(size).hears else ()), 1.0)


def _stage(
    name: str,
    published: Published,
    parts: tuple[str, ...],
    data: Joined,
    loss: Alignment,
    *,
    epochs: int,
    undecayed: tuple[str, ...],
) -> Stage:
    return Stage(
        name=name,
        learning_rates=dict.fromkeys(parts, published.learning_rate),
        data=mixture((data, 1.0)),
        num_steps=max(1, sum(count // published.batch_size for count in data.counts)) * epochs,
        batch_size=published.batch_size,
        order=OneKind(data.counts),
        loss=loss,
        schedule=Cosine(warmup_ratio=published.warmup_epochs / published.epochs, final_ratio=0.01),
        optimizer=OptimizerConfig(
            weight_decay=0.05, undecayed=undecayed, betas=(0.9, 0.98), max_grad_norm=3.0
        ),
        processor={"augmentation": AUGMENTATION, "max_tokens": published.max_tokens},
    )


def _find(size: str) -> Published:
    if size not in STAGE2:
        raise ConfigError(f"there is no size {size!r}; there are {', '.join(STAGE2)}.")
    return STAGE2[size]
