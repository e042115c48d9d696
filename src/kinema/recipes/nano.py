"""nano: the four published stages of VideoLLaMA3 (arXiv 2501.13106) at the size of the toybox.

The published run starts from a language model and a vision encoder that others trained. nano starts from
nothing, so two steps come first: the encoder learns to name what a patch shows (``nano_vision``), and the
language model learns the toybox from captions in words. Putting the two together is left to the four stages.

    python -m kinema.recipes.nano runs/nano
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
import typer

from kinema.datasets.mixture import Mixture, mixture
from kinema.datasets.toybox import ToyboxImages, ToyboxText, ToyboxVideos
from kinema.hub.card import ModelCard
from kinema.models.videollama3 import checkpoint
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.models.videollama3.processor import VideoLLaMA3Processor, VideoLLaMA3ProcessorConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig
from kinema.processors.pruning import NoPruning, PreviousFramePruning
from kinema.processors.read import ReadSettings
from kinema.processors.resize import OfficialResize
from kinema.processors.tokenizer import TextTokenizer
from kinema.recipes.nano_tokenizer import VOCAB_SIZE, nano_tokenizer
from kinema.recipes.nano_vision import VisionPretraining, pretrain_vision
from kinema.recipes.program import run_as_program
from kinema.training.init import init_weights
from kinema.training.loop import train
from kinema.training.optimizer import OptimizerConfig
from kinema.training.precision import Precision
from kinema.training.run import RunConfig
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage


def nano() -> VideoLLaMA3Config:
    """About three million parameters."""
    language = DecoderConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=192,
        intermediate_size=512,
        num_layers=5,
        num_heads=3,
        num_kv_heads=1,
        head_dim=64,
        max_positions=32768,
        rope_theta=1e4,
        attention_bias=True,
        tie_word_embeddings=True,
    )
    vision = NaViTConfig(hidden_size=128, intermediate_size=384, num_layers=4, num_heads=2)
    return VideoLLaMA3Config(vision=vision, language=language)


def nano_processor(scale: float = 1.0) -> VideoLLaMA3Processor:
    """Pictures no larger than those of the training, and frames at their true times.

    Args:
        scale: factor on the number of samples that the tokenizer is made from.
    """
    config = VideoLLaMA3ProcessorConfig(
        resize=OfficialResize(min_tokens=9, max_tokens=160), reading=ReadSettings(sampling="fps")
    )
    return VideoLLaMA3Processor(TextTokenizer(nano_tokenizer(max(100, round(3000 * scale)))), config)


def nano_stages(scale: float = 1.0) -> list[Stage]:
    """The language stage and the four published ones.

    Args:
        scale: factor on the number of steps of every stage, such as 0.001 to try the recipe.

    Returns:
        Stages whose parts, merge sizes and pruning are the published ones. The rates are those of a small
        model that starts from nothing; the published ones would leave it where it began.
    """
    text, videos = ToyboxText(), ToyboxVideos()
    crowds = ToyboxImages(crowd_share=0.8, num_questions=16, caption_share=0.1)
    visual = {"vision_encoder": 5e-4, "connector": 1e-3}
    whole = {"vision_encoder": 3e-4, "connector": 1e-3, "language_model": 2e-3}
    plain = {"image_merge_size": 1, "video_merge_size": 2, "pruning": NoPruning()}
    pruned = plain | {"pruning": PreviousFramePruning()}
    video_centric = pruned | {"image_merge_size": 2}
    stages = [
        _stage("language", 2000, {"language_model": 3e-3}, mixture((text, 1.0)), plain),
        _stage("vision_encoder_adaptation", 200, visual, mixture((ToyboxImages(), 1.0)), plain),
        _stage("vision_language_alignment", 1000, whole, mixture((crowds, 0.9), (text, 0.1)), plain),
        _stage("multi_task", 600, whole, mixture((crowds, 0.3), (videos, 0.7)), pruned),
        _stage("video_centric", 2000, whole, mixture((videos, 0.9), (crowds, 0.1)), video_centric),
    ]
    return [replace(stage, num_steps=max(1, round(stage.num_steps * scale))) for stage in stages]


def _stage(
    name: str, num_steps: int, rates: Mapping[str, float], data: Mixture, processor: Mapping[str, object]
) -> Stage:
    return Stage(
        name=name,
        learning_rates=rates,
        data=data,
        num_steps=num_steps,
        batch_size=16,
        schedule=Cosine(warmup_ratio=0.05, final_ratio=0.1),
        optimizer=OptimizerConfig(rule="muon", weight_decay=0.05, betas=(0.9, 0.98)),
        processor=processor,
    )


def train_nano(
    out_dir: Path, *, scale: float = 1.0, seed: int = 0, precision: Precision = "bfloat16"
) -> Path:
    """Run the whole recipe; a run that was stopped goes on where it was.

    Args:
        out_dir: holds the run's checkpoints and log, and in the end the model.
        scale: factor on all numbers of steps, and on what the tokenizer is made from.
        seed: of the weights and of every sample.
        precision: of matrix products; weights are float32.

    Returns:
        The folder of the finished model, in the official layout.
    """
    model = VideoLLaMA3(nano())
    init_weights(model, seed)
    processor = nano_processor(scale)
    _pretrained_vision(model, out_dir / "vision.pt", scale=scale, seed=seed, precision=precision)
    run = RunConfig(out_dir=out_dir, seed=seed, precision=precision, save_every=100)
    train(model, processor, nano_stages(scale), run)
    folder = out_dir / "model"
    save_nano(model, processor, folder)
    return folder


def _pretrained_vision(
    model: VideoLLaMA3, path: Path, *, scale: float, seed: int, precision: Precision
) -> None:
    if not path.exists():
        num_steps = max(1, round(VisionPretraining().num_steps * scale))
        pretrain_vision(
            model.vision_encoder, VisionPretraining(num_steps=num_steps, seed=seed, precision=precision)
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(model.vision_encoder.state_dict(), path)
    model.vision_encoder.load_state_dict(torch.load(path, weights_only=True))


def save_nano(model: VideoLLaMA3, processor: VideoLLaMA3Processor, folder: Path) -> None:
    """Write the model as it ships: float16, with the card that says what it knows."""
    card = ModelCard(
        title="nano",
        metadata={
            "license": "apache-2.0",
            "kinema": {
                "domain": "toybox",
                "caption_prompt": "Describe the video in detail.",
                "locate_prompt": "When is {text} visible?",
            },
        },
        sections={
            "": (
                "A VideoLLaMA3 of about three million parameters, trained by `kinema.recipes.nano` on the "
                "videos that `kinema.toybox` draws. It knows the toybox and nothing else."
            ),
            "Scores": "`kinema evaluate nano --benchmark toybox` prints them.",
        },
    )
    checkpoint.save(model.to(torch.float16), processor, folder, card=card)


def _main(out_dir: Path, scale: float = 1.0, seed: int = 0) -> None:
    """Train nano and print the folder of the finished model."""
    typer.echo(train_nano(out_dir, scale=scale, seed=seed))


if __name__ == "__main__":
    run_as_program(_main)
