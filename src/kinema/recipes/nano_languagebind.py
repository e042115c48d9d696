"""LanguageBind (arXiv 2310.01852) at the size of the toybox: images bound to text, then videos to it.

The published run starts from OpenCLIP's image and text towers. These start from nothing, so two steps stand
in for OpenCLIP: the image tower learns to name patches (``nano_vision``), and both towers learn from still
pictures with captions. Then comes the published training: text is locked, and the video tower learns
what LanguageBind trains in full. No pair of an image and a video is ever seen.

    python -m kinema.recipes.nano_languagebind runs/nano_languagebind
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import typer

from kinema.datasets.mixture import mixture
from kinema.datasets.toybox_pairs import ToyboxClipPairs, ToyboxStillPairs
from kinema.evaluation.toybox_retrieval import toybox_retrieval
from kinema.hub.card import ModelCard
from kinema.inference.embedding import EmbeddingModel
from kinema.inference.tower import Tower
from kinema.models.languagebind import checkpoint
from kinema.models.languagebind.config import NUM_FRAMES, LanguageBindConfig, Modality
from kinema.models.languagebind.model import LanguageBind
from kinema.models.languagebind.pairs import PairProcessor
from kinema.models.languagebind.processor import LanguageBindProcessor, LanguageBindProcessorConfig
from kinema.models.languagebind.start import start_from_image
from kinema.models.loaded import Loaded
from kinema.modules.text.clip import CLIPTextConfig
from kinema.modules.vision.clip import CLIPVision, CLIPVisionConfig
from kinema.processors.clip_pixels import CLIPPixelsConfig, image_pixels
from kinema.processors.clip_text import END, START, CLIPTokenizer
from kinema.recipes.languagebind import FULL_TEMPORAL_PARTS
from kinema.recipes.nano_card import nano_card
from kinema.recipes.nano_tokenizer import nano_tokenizer
from kinema.recipes.nano_vision import PatchReader, Picture, VisionPretraining, pretrain_patches
from kinema.recipes.program import run_as_program
from kinema.training.contrastive import Contrastive
from kinema.training.init import init_weights
from kinema.training.loop import train
from kinema.training.optimizer import OptimizerConfig
from kinema.training.precision import Precision
from kinema.training.run import RunConfig
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

SIDE = 112
"""Pixels a side: the size the toybox films at, so that nothing is resized."""


@dataclass(frozen=True, kw_only=True)
class NanoRun:
    """How a nano recipe is run."""

    out_dir: Path
    scale: float = 1.0
    """Factor on all numbers of steps and on what the tokenizer is made from, such as 0.001 to try it; below
    0.01 batches are smaller, too."""
    seed: int = 0
    precision: Precision = "bfloat16"

    def steps(self, num_steps: int) -> int:
        """How many there are at this scale."""
        return max(1, round(num_steps * self.scale))

    def rows(self, batch_size: int) -> int:
        """Samples a step at this scale."""
        return max(2, round(batch_size * min(1.0, 100 * self.scale)))


def nano_languagebind(modality: Modality, vocab_size: int) -> LanguageBindConfig:
    """1.4 million parameters, and 0.3 million more in temporal blocks where there are any."""
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=384,
        num_layers=4,
        num_heads=2,
        image_size=(SIDE, SIDE),
        patch_size=16,
    )
    if modality is Modality.VIDEO:
        vision = replace(vision, num_frames=NUM_FRAMES, patch_dropout=0.3)
    text = CLIPTextConfig(
        vocab_size=vocab_size, hidden_size=128, intermediate_size=384, num_layers=3, num_heads=2
    )
    return LanguageBindConfig(modality=modality, vision=vision, text=text, projection_size=128)


def nano_languagebind_processor(modality: Modality, tokenizer: CLIPTokenizer) -> LanguageBindProcessor:
    """Pictures as the published towers see them, words as the toybox writes them."""
    config = LanguageBindProcessorConfig(modality=modality, pixels=CLIPPixelsConfig(size=SIDE))
    return LanguageBindProcessor(tokenizer, config)


def nano_clip_tokenizer(scale: float = 1.0) -> CLIPTokenizer:
    """A vocabulary of the toybox that ends with the two tokens that CLIP needs."""
    return CLIPTokenizer(nano_tokenizer(max(100, round(3000 * scale)), special_tokens=(START, END)))


def image_stage(run: NanoRun) -> Stage:
    """What stands in for OpenCLIP's training: everything learns."""
    rates = {
        "vision_encoder": 1e-3,
        "visual_projection": 3e-3,
        "text_encoder": 3e-3,
        "text_projection": 3e-3,
        "logit_scale": 1e-2,
    }
    return Stage(
        name="image_text",
        learning_rates=rates,
        data=mixture((ToyboxStillPairs(side=SIDE), 1.0)),
        num_steps=run.steps(400),
        batch_size=run.rows(128),
        loss=Contrastive(),
        schedule=Cosine(warmup_ratio=0.05, final_ratio=0.05),
        optimizer=OptimizerConfig(rule="muon", weight_decay=0.05, betas=(0.9, 0.98)),
    )


def video_stage(run: NanoRun) -> Stage:
    """The published training, with its parts, its loss and its share of dropped patches; text is locked."""
    return replace(
        image_stage(run),
        name="video_text",
        learning_rates=dict.fromkeys(FULL_TEMPORAL_PARTS, 1e-3),
        data=mixture((ToyboxClipPairs(num_frames=NUM_FRAMES, side=SIDE), 1.0)),
        num_steps=run.steps(150),
        batch_size=run.rows(64),
    )


def train_nano_languagebind(run: NanoRun) -> tuple[Path, Path]:
    """Run the whole recipe; a run that was stopped goes on where it was.

    Returns:
        The folders of the finished image and video models, in LanguageBind's layout.
    """
    image, video = (run.out_dir / modality for modality in (Modality.IMAGE, Modality.VIDEO))
    if not image.exists():
        _train_image(run, image)
    if not video.exists():
        _train_video(run, checkpoint.load(image), video)
    return image, video


def _train_image(run: NanoRun, folder: Path) -> None:
    tokenizer = nano_clip_tokenizer(run.scale)
    processor = nano_languagebind_processor(Modality.IMAGE, tokenizer)
    torch.manual_seed(run.seed)
    model = LanguageBind(nano_languagebind(Modality.IMAGE, tokenizer.backend.get_vocab_size()))
    init_weights(model, run.seed)
    _name_patches(run, model.vision_encoder, run.out_dir / "patches.pt")
    train(model, PairProcessor(processor), [image_stage(run)], _settings(run, "train_image"))
    checkpoint.save(model, processor, folder, card=_card("image"))


def _train_video(run: NanoRun, start: Loaded[LanguageBind, LanguageBindProcessor], folder: Path) -> None:
    image, processor = start.model, nano_languagebind_processor(Modality.VIDEO, start.processor.tokenizer)
    torch.manual_seed(run.seed)
    config = nano_languagebind(Modality.VIDEO, image.config.text.vocab_size)
    model = LanguageBind(config)
    model.load_state_dict(model.state_dict() | image.state_dict())
    generator = torch.Generator().manual_seed(run.seed)
    model.vision_encoder = start_from_image(image.vision_encoder, config.vision, generator)
    train(model, PairProcessor(processor), [video_stage(run)], _settings(run, "train_video"))
    checkpoint.save(model, processor, folder, card=_card("video"))


def _settings(run: NanoRun, name: str) -> RunConfig:
    return RunConfig(
        out_dir=run.out_dir / name, seed=run.seed, precision=run.precision, log_every=20, save_every=50
    )


def _name_patches(run: NanoRun, encoder: CLIPVision, path: Path) -> None:
    """Teach the tower what patches show, where a language model will read them: before its last layer."""
    if not path.exists():
        size = encoder.config.patch_size
        pixels = CLIPPixelsConfig(size=SIDE)

        def features(pictures: list[Picture]) -> torch.Tensor:
            frames = torch.stack([image_pixels(picture, pixels) for picture in pictures])
            return encoder.encode(frames[:, None], layer=-2)[:, 0, 1:].flatten(0, 1)  # (P, D)

        reader = PatchReader(
            encoder=encoder,
            features=features,
            hidden_size=encoder.config.hidden_size,
            patch_size=size,
            multiple=size,
            draw_size=lambda _: (SIDE, SIDE),
        )
        config = VisionPretraining(
            num_steps=run.steps(1500), batch_size=run.rows(64), seed=run.seed, precision=run.precision
        )
        pretrain_patches(reader, config)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(encoder.state_dict(), path)
    encoder.load_state_dict(torch.load(path, weights_only=True))


def _card(modality: str) -> ModelCard:
    parts = "LanguageBind towers of about a million parameters each"
    return nano_card(f"nano LanguageBind, {modality}", "nano_languagebind", parts)


def _main(out_dir: Path, scale: float = 1.0, seed: int = 0, clips: int = 200, train: bool = True) -> None:
    """Train both towers, unless told not to, and print how well held-out clips are found."""
    folders = out_dir / Modality.IMAGE, out_dir / Modality.VIDEO
    if train:
        folders = train_nano_languagebind(NanoRun(out_dir=out_dir, scale=scale, seed=seed))
    towers = (Tower(loaded.model, loaded.processor) for loaded in map(checkpoint.load, folders))
    image, video = map(EmbeddingModel, towers)
    for name, recall in toybox_retrieval(video.combined_with(image), num_clips=clips).items():
        typer.echo(f"{name:16} R@1 {recall[1]:6.1%}  R@5 {recall[5]:6.1%}  R@10 {recall[10]:6.1%}")


if __name__ == "__main__":
    run_as_program(_main)
