"""Video-LLaVA (arXiv 2311.10122) at the size of the toybox: two published stages, images and videos together.

The published run starts from LanguageBind's towers and from Vicuna. These towers are those of
``nano_languagebind``, bound to text and frozen, as published. This language model starts from nothing, so it
learns the language of the toybox from captions first.

    python -m kinema.recipes.nano_video_llava runs/nano_video_llava
"""

from dataclasses import replace
from pathlib import Path

import torch
import typer

from kinema.datasets.mixture import mixture
from kinema.datasets.toybox import ToyboxImages, ToyboxText, ToyboxVideos
from kinema.models.languagebind.checkpoint import load_vision_encoder
from kinema.models.languagebind.config import NUM_FRAMES, Modality
from kinema.models.video_llava import checkpoint
from kinema.models.video_llava.config import VideoLLaVAConfig
from kinema.models.video_llava.model import VideoLLaVA
from kinema.models.video_llava.processor import VideoLLaVAProcessor, VideoLLaVAProcessorConfig
from kinema.models.video_llava.processor_json import OFFICIAL_PLACEHOLDERS
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.clip import CLIPVision
from kinema.processors.clip_pixels import CLIPPixelsConfig
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.recipes.nano_card import nano_card
from kinema.recipes.nano_languagebind import SIDE, NanoRun, train_nano_languagebind
from kinema.recipes.nano_scores import nano_score_lines
from kinema.recipes.nano_sentence_pieces import kept_pieces, nano_sentence_pieces
from kinema.recipes.program import run_as_program
from kinema.training.init import init_weights
from kinema.training.loop import train
from kinema.training.optimizer import OptimizerConfig
from kinema.training.run import RunConfig
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

Towers = dict[Modality, CLIPVision]


def nano_language(vocab_size: int) -> DecoderConfig:
    """About a million parameters, of Llama's kind."""
    return DecoderConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=384,
        num_layers=4,
        num_heads=2,
        num_kv_heads=2,
        head_dim=64,
        max_positions=4096,
        rope_theta=1e4,
        rms_norm_eps=1e-5,
    )


def nano_video_llava(towers: Towers, vocab_size: int) -> VideoLLaVA:
    """Towers that are trained already, a new connector and a new language model."""
    configs = {name: replace(tower.config, patch_dropout=0.0) for name, tower in towers.items()}
    return VideoLLaVA(VideoLLaVAConfig(towers=configs, language=nano_language(vocab_size)))


def nano_video_llava_stages(run: NanoRun) -> list[Stage]:
    """The language stage and the two published ones.

    Returns:
        Stages whose parts and kinds of data are the published ones: captions of images and videos for the
        connector alone, then talk about both, and text alone, for connector and language model. The rates are
        those of a small model that starts from nothing.
    """
    videos = ToyboxVideos(num_frames=NUM_FRAMES, side=SIDE)
    images = ToyboxImages(side=SIDE)
    captions = mixture(
        (replace(images, num_questions=0, caption_share=1.0), 0.5),
        (replace(videos, num_questions=0, caption_share=1.0), 0.5),
    )
    language = Stage(
        name="language",
        learning_rates={"language_model": 3e-3},
        data=mixture((ToyboxText(), 1.0)),
        num_steps=run.steps(200),
        batch_size=run.rows(32),
        schedule=Cosine(warmup_ratio=0.1, final_ratio=0.6),  # tuning goes on from there
        optimizer=OptimizerConfig(rule="muon", weight_decay=0.05, betas=(0.9, 0.98)),
    )
    align = replace(
        language,
        name="align",
        learning_rates={"connector": 3e-3},
        data=captions,
        num_steps=run.steps(60),
        schedule=Cosine(warmup_ratio=0.05, final_ratio=0.1),
    )
    tune = replace(
        align,
        name="tune",
        learning_rates={"connector": 1e-3, "language_model": 1e-3},
        data=mixture((videos, 0.6), (images, 0.3), (ToyboxText(), 0.1)),
        num_steps=run.steps(350),
        batch_size=run.rows(16),
    )
    return [language, align, tune]


def train_nano_video_llava(run: NanoRun) -> Path:
    """Run the whole recipe, towers first; a run that was stopped goes on where it was.

    Returns:
        The folder of the finished model, in the official layout.
    """
    folder = run.out_dir / "model"
    if folder.exists():
        return folder
    image, video = train_nano_languagebind(replace(run, out_dir=run.out_dir / "languagebind"))
    processor = nano_video_llava_processor(run)
    torch.manual_seed(run.seed)
    towers = {Modality.IMAGE: load_vision_encoder(image), Modality.VIDEO: load_vision_encoder(video)}
    model = nano_video_llava(towers, processor.tokenizer.vocab_size)
    init_weights(model, run.seed)
    for name, tower in towers.items():
        model.vision_encoder[name].load_state_dict(tower.state_dict())
    settings = RunConfig(
        out_dir=run.out_dir / "train", seed=run.seed, precision=run.precision, log_every=20, save_every=50
    )
    train(model, processor, nano_video_llava_stages(run), settings)
    card = nano_card("nano Video-LLaVA", "nano_video_llava", "A Video-LLaVA of about two million parameters")
    checkpoint.save(model, processor, folder, card=card)
    return folder


def nano_video_llava_processor(run: NanoRun) -> VideoLLaVAProcessor:
    """The vocabulary is learned once and kept beside the run."""
    num_samples = max(100, round(3000 * run.scale))
    pieces = kept_pieces(run.out_dir, lambda: nano_sentence_pieces(num_samples, run.seed))
    config = VideoLLaVAProcessorConfig(pixels=CLIPPixelsConfig(size=SIDE, image_fit="pad"), patch_size=16)
    tokenizer = SentencePieceTokenizer(pieces, added_tokens=OFFICIAL_PLACEHOLDERS)
    return VideoLLaVAProcessor(tokenizer, config)


def _main(out_dir: Path, scale: float = 1.0, seed: int = 0, clips: int = 200, train: bool = True) -> None:
    """Train the model, unless told not to, and print its exact answers on held-out clips, and blind ones."""
    folder = out_dir / "model"
    if train:
        folder = train_nano_video_llava(NanoRun(out_dir=out_dir, scale=scale, seed=seed))
    for line in nano_score_lines(folder, clips):
        typer.echo(line)


if __name__ == "__main__":
    run_as_program(_main)
