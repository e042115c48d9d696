"""VideoLLaMA3 (arXiv 2501.13106): many images and few videos, any resolution, pruning.

All arms and seeds start from one encoder, which has learned to name patches, and one language model, which
has learned the toybox from words. A seed chooses the connector, the samples and their order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kinema.datasets.mixture import Mixture, mixture
from kinema.datasets.toybox import ToyboxImages, ToyboxText, ToyboxVideos
from kinema.evaluation.scores import score
from kinema.evaluation.toybox import CONDITIONS, predict_toybox
from kinema.inference.engine import VideoLanguageModel
from kinema.inference.load import load
from kinema.models.videollama3 import checkpoint
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.models.videollama3.processor import VideoLLaMA3Processor
from kinema.processors.messages import Conversation
from kinema.processors.pruning import NoPruning, PreviousFramePruning
from kinema.processors.resize import ItemSize, OfficialResize, ResizeRule
from kinema.recipes.claims.lab import Claim, Experiment, Scores
from kinema.recipes.nano import nano, nano_processor
from kinema.recipes.nano_languagebind import NanoRun
from kinema.recipes.nano_vision import VisionPretraining, pretrain_vision
from kinema.training.init import init_weights
from kinema.training.loop import train
from kinema.training.optimizer import OptimizerConfig
from kinema.training.run import RunConfig
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

SIDE = 112
NUM_CLIPS, QUESTIONS_PER_CLIP = 100, 10


@dataclass(frozen=True, kw_only=True)
class SquareResize:
    """Every picture to the size that encoders without any resolution know, out of its aspect."""

    side: int = SIDE

    def __call__(self, items: Sequence[ItemSize], patch_size: int) -> list[tuple[int, int]]:
        """The same for all."""
        return [(self.side, self.side)] * len(items)

    def with_max_tokens(self, max_tokens: int) -> ResizeRule:
        """Itself: it has no budget."""
        return self


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Shares of videos in both stages, and the sizes seen."""

    video_shares: tuple[float, float]
    resize: ResizeRule


ANY = OfficialResize(min_tokens=9, max_tokens=160)
ARMS = {
    "many images": Arm(video_shares=(0.0, 0.5), resize=ANY),
    "few images": Arm(video_shares=(0.9, 0.9), resize=ANY),
    "one size": Arm(video_shares=(0.0, 0.5), resize=SquareResize()),
}

CLAIMS = (
    Claim(
        name="many images and few videos, not few images",
        paper="VideoLLaMA3, 1",
        with_it=("many images", "test"),
        without=("few images", "test"),
    ),
    Claim(
        name="any resolution, on shapes never seen",
        paper="VideoLLaMA3, 3.1",
        with_it=("many images", "unseen sizes"),
        without=("one size", "unseen sizes"),
    ),
    Claim(
        name="any resolution, on squares",
        paper="VideoLLaMA3, 3.1",
        with_it=("many images", "test"),
        without=("one size", "test"),
    ),
    Claim(
        name="pruning, answers",
        paper="VideoLLaMA3, 3.2",
        with_it=("many images", "test"),
        without=("many images", "no pruning"),
    ),
    Claim(
        name="pruning, share of tokens",
        paper="VideoLLaMA3, 3.2",
        with_it=("many images", "tokens"),
        without=("many images", "all tokens"),
    ),
)


def prepare(run: NanoRun, seeds: Sequence[int]) -> None:
    """Train encoder and language model, unless they are there."""
    path = _start_file(run)
    if path.exists():
        return
    torch.manual_seed(run.seed)
    model = VideoLLaMA3(nano())
    init_weights(model, run.seed)
    pretraining = VisionPretraining(
        num_steps=run.steps(700), batch_size=run.rows(64), precision=run.precision
    )
    pretrain_vision(model.vision_encoder, pretraining)
    words = mixture((ToyboxText(caption_share=0.3), 1.0))
    language = _stage(run, "language", 700, {"language_model": 3e-3}, words, {"pruning": NoPruning()})
    settings = RunConfig(out_dir=path.parent / "language", seed=run.seed, precision=run.precision)
    train(model, _processor(run), [language], settings)
    partial = path.with_suffix(".partial")
    torch.save(model.state_dict(), partial)
    partial.replace(path)


def run_arm(run: NanoRun, name: str, seed: int) -> Scores:
    """Train an arm by two stages, the second half as long again, and ask it."""
    arm = ARMS[name]
    folder = run.out_dir / EXPERIMENT.name / f"{name.replace(' ', '_')}_seed{seed}"
    processor = _processor(run)
    if not (folder / "model").exists():
        model = VideoLLaMA3(nano())
        model.load_state_dict(torch.load(_start_file(run), weights_only=True))
        init_weights(model.connector, seed)
        settings = RunConfig(out_dir=folder, seed=seed, precision=run.precision, log_every=20, save_every=100)
        train(model, processor, _stages(run, arm), settings)
        checkpoint.save(model, processor, folder / "model")
    trained = load(folder / "model", device="cpu")
    assert isinstance(trained, VideoLanguageModel)
    return _scores(run, trained, arm, seed)


def _stages(run: NanoRun, arm: Arm) -> list[Stage]:
    rates = {"vision_encoder": 3e-4, "connector": 1e-3, "language_model": 2e-3}
    plain = {"image_merge_size": 1, "video_merge_size": 2, "resize": arm.resize, "pruning": NoPruning()}
    pruned = plain | {"pruning": PreviousFramePruning()}
    first, second = (_data(share) for share in arm.video_shares)
    return [
        _stage(run, "first", 240, rates, first, plain),
        _stage(run, "second", 360, rates, second, pruned),
    ]


def _data(video_share: float) -> Mixture:
    images = ToyboxImages(crowd_share=0.8, num_questions=16, caption_share=0.1)
    parts = ((images, 1 - video_share), (ToyboxVideos(num_questions=16), video_share))
    return mixture(*((source, share) for source, share in parts if share > 0))


def _stage(
    run: NanoRun,
    name: str,
    num_steps: int,
    rates: Mapping[str, float],
    data: Mixture,
    processor: Mapping[str, object],
) -> Stage:
    return Stage(
        name=name,
        learning_rates=rates,
        data=data,
        num_steps=run.steps(num_steps),
        batch_size=run.rows(16),
        schedule=Cosine(warmup_ratio=0.05, final_ratio=0.1),
        optimizer=OptimizerConfig(rule="muon", weight_decay=0.05, betas=(0.9, 0.98)),
        processor=processor,
    )


def _processor(run: NanoRun) -> VideoLLaMA3Processor:
    return nano_processor(run.scale)


def _start_file(run: NanoRun) -> Path:
    return run.out_dir / EXPERIMENT.name / "start.pt"


def _scores(run: NanoRun, model: VideoLanguageModel, arm: Arm, seed: int) -> Scores:
    model = model.with_settings(resize=arm.resize, pruning=PreviousFramePruning())
    conditions = [
        condition for condition in CONDITIONS if condition.name in ("test", "no pruning", "unseen sizes")
    ]
    predictions = [
        prediction
        for condition in conditions
        for prediction in predict_toybox(
            model,
            condition,
            num_clips=run.rows(NUM_CLIPS),
            questions_per_clip=QUESTIONS_PER_CLIP,
            seed=1000 * seed,
        )
    ]
    accuracies = {name: found.accuracy for name, found in score(predictions).items()}
    return accuracies | {"tokens": _share_kept(arm, seed, num_clips=run.rows(40)), "all tokens": 1.0}


def _share_kept(arm: Arm, seed: int, *, num_clips: int) -> float:
    """Visual tokens that pruning leaves of those there are."""
    processor = nano_processor(0.01).with_settings(resize=arm.resize, pruning=PreviousFramePruning())
    source, kept, total = ToyboxVideos(side=SIDE), 0, 0
    for index in range(num_clips):
        talk: Conversation = source.sample(index, np.random.default_rng([seed, index]))
        visuals = processor.encode(talk)
        assert visuals is not None  # every sample shows a clip
        kept += visuals.inputs.num_tokens
        total += sum(sum(item.tokens_per_frame) for item in processor.measure(talk))
    return kept / total


EXPERIMENT = Experiment(name="videollama3", arms=tuple(ARMS), run_arm=run_arm, claims=CLAIMS, prepare=prepare)
