"""Video-LLaVA (arXiv 2311.10122): images and videos together, and towers that are aligned before they are
projected.

All arms and seeds start from the same towers and vocabulary. The arm "apart" has the image tower as it was
before it was bound to text, beside a video tower that was. A seed chooses language model, projector and
samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from kinema.datasets.mixture import Mixture, mixture
from kinema.datasets.toybox import ToyboxImages, ToyboxVideos
from kinema.evaluation.scores import score
from kinema.evaluation.toybox import Condition, predict_toybox
from kinema.inference.engine import VideoLanguageModel
from kinema.inference.load import load
from kinema.models.languagebind.checkpoint import load_vision_encoder
from kinema.models.languagebind.config import Modality
from kinema.models.video_llava import checkpoint
from kinema.recipes.claims.lab import Claim, Experiment, Scores
from kinema.recipes.nano_languagebind import NanoRun, train_nano_languagebind
from kinema.recipes.nano_video_llava import (
    Towers,
    nano_video_llava,
    nano_video_llava_processor,
    nano_video_llava_stages,
)
from kinema.training.init import init_weights
from kinema.training.loop import train
from kinema.training.run import RunConfig
from kinema.training.stage import Stage

NUM_CLIPS, QUESTIONS_PER_CLIP = 100, 10


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What differs."""

    with_images: bool
    """Whether both stages have images beside their videos; steps and samples are as many without."""
    is_aligned: bool
    """Whether the image tower was bound to the text that the video tower is bound to."""


ARMS = {
    "joint": Arm(with_images=True, is_aligned=True),
    "videos alone": Arm(with_images=False, is_aligned=True),
    "apart": Arm(with_images=True, is_aligned=False),
}

CLAIMS = (
    Claim(
        name="images and videos together, asked about videos",
        paper="Video-LLaVA, 4.3",
        with_it=("joint", "test"),
        without=("videos alone", "test"),
    ),
    Claim(
        name="aligned before projection, asked about videos",
        paper="Video-LLaVA, 4.3",
        with_it=("joint", "test"),
        without=("apart", "test"),
    ),
)


def prepare(run: NanoRun, seeds: Sequence[int]) -> None:
    """Train the towers and learn the vocabulary, unless they are there."""
    _towers(run, is_aligned=True)
    nano_video_llava_processor(_home(run))


def run_arm(run: NanoRun, name: str, seed: int) -> Scores:
    """Train an arm by language stage and both published ones, and ask it."""
    arm, home = ARMS[name], _home(run)
    folder = home.out_dir / f"{name.replace(' ', '_')}_seed{seed}"
    if not (folder / "model").exists():
        towers, processor = _towers(run, is_aligned=arm.is_aligned), nano_video_llava_processor(home)
        torch.manual_seed(seed)
        model = nano_video_llava(towers, processor.tokenizer.vocab_size)
        init_weights(model, seed)
        for modality, tower in towers.items():
            model.vision_encoder[modality].load_state_dict(tower.state_dict())
        settings = RunConfig(out_dir=folder, seed=seed, precision=run.precision, log_every=20, save_every=100)
        train(model, processor, _stages(run, arm), settings)
        checkpoint.save(model, processor, folder / "model")
    model_again = load(folder / "model", device="cpu")
    assert isinstance(model_again, VideoLanguageModel)
    predictions = predict_toybox(
        model_again,
        Condition(name="test"),
        num_clips=run.rows(NUM_CLIPS),
        questions_per_clip=QUESTIONS_PER_CLIP,
        seed=1000 * seed,
    )
    return {name: found.accuracy for name, found in score(predictions).items()}


def _stages(run: NanoRun, arm: Arm) -> list[Stage]:
    language, align, tune = nano_video_llava_stages(run)
    if arm.with_images:
        return [language, align, tune]
    return [
        language,
        replace(align, data=_without_images(align.data)),
        replace(tune, data=_without_images(tune.data)),
    ]


def _without_images(data: Mixture) -> Mixture:
    """The same with the share of images given to videos."""
    images = sum(share for source, share in data.parts if isinstance(source, ToyboxImages))
    return mixture(
        *(
            (source, share + images if isinstance(source, ToyboxVideos) else share)
            for source, share in data.parts
            if not isinstance(source, ToyboxImages)
        )
    )


def _home(run: NanoRun) -> NanoRun:
    return replace(run, out_dir=run.out_dir / EXPERIMENT.name)


def _towers(run: NanoRun, *, is_aligned: bool) -> Towers:
    place = _home(run).out_dir / "languagebind"
    image, video = map(load_vision_encoder, train_nano_languagebind(replace(run, out_dir=place)))
    if not is_aligned:
        image.load_state_dict(torch.load(place / "patches.pt", weights_only=True))
    return {Modality.IMAGE: image, Modality.VIDEO: video}


EXPERIMENT = Experiment(name="video_llava", arms=tuple(ARMS), run_arm=run_arm, claims=CLAIMS, prepare=prepare)
