"""The audio captioner of InternVideo2's data engine, on WavCaps (arXiv 2403.15377, VidCap).

The paper tells of its training that the Q-Former alone learned, and on what; nothing was released. Rate,
decay and schedule are those of the chat model's first stage, which draws its Q-Former to a frozen language
model: the same task with eyes. Batch and number of epochs are ours.

A run starts from BEATs and a language model, see ``models.internvideo2.captioner_start``, and needs the
sounds of WavCaps, whose licence is for academic use only.
"""

from kinema.datasets.mixture import mixture
from kinema.datasets.wavcaps import WavCapsRecords
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import Shuffled
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

LEARNING_PARTS = ("connector", "up_projection")
"""The Q-Former, and the projection of what its queries find, without which nothing of it can be read."""

BATCH_SIZE = 256


def audio_captioner(data: WavCapsRecords, *, epochs: int = 1) -> list[Stage]:
    """The one stage.

    Args:
        data: captions of sounds.
        epochs: times through them.

    Raises:
        DataError: if a file of records is broken, or no record is left.
    """
    align = Stage(
        name="align",
        learning_rates=dict.fromkeys(LEARNING_PARTS, 1e-4),
        data=mixture((data, 1.0)),
        num_steps=max(1, len(data) * epochs // BATCH_SIZE),
        batch_size=BATCH_SIZE,
        order=Shuffled(len(data)),
        schedule=Cosine(warmup_ratio=0.2, final_ratio=0.05),
        optimizer=OptimizerConfig(weight_decay=0.02, betas=(0.9, 0.999), eps=1e-5, max_grad_norm=1.0),
        processor={"max_length": 1024},
    )
    return [align]
