"""What the nano InternVideo2 starts from: stand-ins for what its published runs take from others.

- For InternVL-C, the semantic teacher: InternViT-6B's layout learns to name what patches show
  (``nano_vision``), then stills and captions are drawn together.
- For VideoMAE V2-g, the motion teacher: its layout learns to paint hidden tubelets, as VideoMAE does.
- For BERT: its text layers guess hidden words of captions.
- For BEATs: its layout names what is heard at each moment, of five sounds and silence.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.datasets.mixture import mixture
from kinema.datasets.toybox import as_filmed, spread_times
from kinema.datasets.toybox_films import ToyboxFilms
from kinema.datasets.toybox_pairs import ToyboxStillPairs
from kinema.hub.tokenizer import load_tokenizer, save_tokenizer
from kinema.models.internvideo2.aligned import AlignedProcessor
from kinema.models.internvideo2.stage2 import InternVideo2Stage2
from kinema.models.internvideo2.teachers import FrameTeacher, MotionTeacher
from kinema.modules.audio.beats import BEATs
from kinema.modules.text.bert import Bert
from kinema.modules.vision.internvideo2 import InternVideo2Tower
from kinema.modules.vision.videomae import VideoMAE
from kinema.processors.bert_text import BertTokenizer
from kinema.processors.square_pixels import square_pixels
from kinema.recipes.nano_ears import SoundNaming, train_nano_ears
from kinema.recipes.nano_fit import Fit, fit
from kinema.recipes.nano_internvideo2_sizes import (
    CLIP_LAYERS,
    MAE_FRAMES,
    MAE_LAYERS,
    PATCH_SIZE,
    SIDE,
    WIDTH,
    nano_beats,
    nano_bert,
    nano_encoder,
    nano_processor,
    nano_semantic,
    nano_videomae,
    word_masking,
)
from kinema.recipes.nano_languagebind import NanoRun
from kinema.recipes.nano_vision import PatchReader, Picture, VisionPretraining, pretrain_patches
from kinema.recipes.nano_word_pieces import MAX_TOKENS, nano_word_pieces, toybox_captions
from kinema.training.alignment import Alignment
from kinema.training.init import init_weights
from kinema.training.loop import train
from kinema.training.losses import IGNORE_INDEX
from kinema.training.masked_pixels import MaskedPixels, MaskedPixelsConfig
from kinema.training.optimizer import OptimizerConfig
from kinema.training.run import RunConfig
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage


def train_nano_parts(run: NanoRun) -> Path:
    """Train every part that is not there yet.

    Returns:
        A folder with the vocabulary and the weights of both teachers, of text layers and of ears, which
        ``load_pieces``, ``load_teachers``, ``read_words`` and ``read_ears`` take.
    """
    folder = run.out_dir / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "tokenizer.json").exists():
        save_tokenizer(nano_word_pieces(max(50, run.steps(2000)), run.seed).backend, folder)
    trainings: dict[str, Callable[[NanoRun, Path], nn.Module]] = {
        "words": _train_words,
        "ears": _train_ears,
        "semantic": _train_semantic,
        "motion": _train_motion,
    }
    for name, training in trainings.items():
        path = folder / f"{name}.pt"
        if not path.exists():
            torch.manual_seed(run.seed)
            weights = training(run, folder).state_dict()
            torch.save(weights, path.with_suffix(".partial"))
            path.with_suffix(".partial").replace(path)
    return folder


def load_pieces(parts: Path) -> BertTokenizer:
    """The vocabulary."""
    return BertTokenizer(load_tokenizer(parts), max_tokens=MAX_TOKENS)


def load_teachers(parts: Path) -> tuple[FrameTeacher, MotionTeacher]:
    """The semantic teacher and the motion teacher."""
    tower = InternVideo2Tower(nano_encoder(num_frames=1), WIDTH)
    encoder = VideoMAE(nano_videomae())
    for network, name in ((tower, "semantic"), (encoder, "motion")):
        network.load_state_dict(_weights(parts, name))
    return FrameTeacher(tower, num_layers=CLIP_LAYERS), MotionTeacher(encoder, num_layers=MAE_LAYERS)


def read_words(text_encoder: Bert, parts: Path) -> None:
    """Give BERT what was learned of words; attention to what is seen or heard stays as it is."""
    text_encoder.load_state_dict(text_encoder.state_dict() | _weights(parts, "words"))


def read_ears(audio_encoder: BEATs, parts: Path) -> None:
    """Give BEATs what was learned of sounds."""
    audio_encoder.load_state_dict(_weights(parts, "ears"))


def _weights(parts: Path, name: str) -> dict[str, Tensor]:
    return dict(torch.load(parts / f"{name}.pt", weights_only=True))


def _train_words(run: NanoRun, folder: Path) -> nn.Module:
    """All layers guess words, those of fusion as if they were of text: what they look at comes later."""
    tokenizer = load_pieces(folder)
    masking, processor = word_masking(tokenizer), nano_processor(tokenizer)
    sizes = nano_bert(tokenizer.vocab_size)
    bert = Bert(replace(sizes, fusion_layer=sizes.num_layers))
    init_weights(bert, run.seed)

    def loss_of(step: int) -> Tensor:
        rng = np.random.default_rng([run.seed, step])
        scenes = [ToyboxFilms().scene(rng) for _ in range(run.rows(16))]
        texts = processor.texts([text for scene in scenes for text in toybox_captions(scene, rng)])
        words = masking(texts.input_ids)
        hidden = words.labels != IGNORE_INDEX
        states = bert(words.input_ids, texts.attention_mask)
        return F.cross_entropy(bert.guess_words(states[hidden]).float(), words.labels[hidden])

    fit(bert, loss_of, Fit(name="words", num_steps=run.steps(400), precision=run.precision))
    return bert


def _train_ears(run: NanoRun, folder: Path) -> nn.Module:
    """A label for each patch: what is heard in the middle of its time."""
    sound = nano_processor(load_pieces(folder)).config.sound
    naming = SoundNaming(nano_beats(), sound, tells_seconds=False)
    init_weights(naming.ears, run.seed)
    config = Fit(name="ears", num_steps=run.steps(100), precision=run.precision)
    train_nano_ears(naming, ToyboxFilms(), config, batch_size=run.rows(32), seed=run.seed)
    return naming.ears


def _train_semantic(run: NanoRun, folder: Path) -> nn.Module:
    """Patches first, then stills and captions: what a whole picture is, for the pool and its attention."""
    tokenizer = load_pieces(folder)
    model = InternVideo2Stage2(nano_semantic(tokenizer.vocab_size))
    init_weights(model, run.seed)
    read_words(model.text_encoder, folder)
    tower = model.vision_encoder.vision_encoder

    def features(pictures: list[Picture]) -> Tensor:
        frames = torch.stack([square_pixels(picture[None], size=SIDE) for picture in pictures])
        return tower.encoder(frames)[:, 1:].flatten(0, 1)  # (P, D)

    reader = PatchReader(
        encoder=tower.encoder,
        features=features,
        hidden_size=WIDTH,
        patch_size=PATCH_SIZE,
        multiple=PATCH_SIZE,
        draw_size=lambda _: (SIDE, SIDE),
    )
    naming = VisionPretraining(
        num_steps=run.steps(800), batch_size=run.rows(64), seed=run.seed, precision=run.precision
    )
    pretrain_patches(reader, naming)
    processor = AlignedProcessor(nano_processor(tokenizer))
    train(model, processor, [_caption_stage(run)], settings(run, "train_semantic"))
    return tower


def _caption_stage(run: NanoRun) -> Stage:
    rates = {
        "vision_encoder.vision_encoder": 1e-3,
        "vision_projection": 3e-3,
        "text_encoder": 1e-3,
        "text_projection": 3e-3,
        "temperature": 1e-2,
    }
    return Stage(
        name="captions",
        learning_rates=rates,
        data=mixture((ToyboxStillPairs(side=SIDE), 1.0)),
        num_steps=run.steps(200),
        batch_size=run.rows(64),
        loss=Alignment(weights={"vtc": 1.0}, image_mask_ratio=0.0),
        schedule=Cosine(warmup_ratio=0.05, final_ratio=0.05),
        optimizer=OptimizerConfig(rule="muon", weight_decay=0.05, betas=(0.9, 0.98)),
    )


def _train_motion(run: NanoRun, folder: Path) -> nn.Module:
    """Three of four places are hidden, nine of ten as published: toys are small."""
    encoder = VideoMAE(nano_videomae())
    decoder = replace(nano_videomae(), hidden_size=64, intermediate_size=192, num_layers=1)
    masked = MaskedPixels(encoder, MaskedPixelsConfig(decoder=decoder, mask_ratio=0.75))
    init_weights(masked, run.seed)
    processor = nano_processor(load_pieces(folder))
    films = ToyboxFilms(num_frames=MAE_FRAMES, has_sound=False)

    def loss_of(step: int) -> Tensor:
        rng = np.random.default_rng([run.seed, step])
        scenes = [films.scene(rng) for _ in range(run.rows(16))]
        clips = [as_filmed(scene.render(spread_times(scene, MAE_FRAMES)), rng) for scene in scenes]
        return masked(torch.stack([processor.video(clip) for clip in clips]))

    fit(masked, loss_of, Fit(name="motion", num_steps=run.steps(400), precision=run.precision))
    return encoder


def settings(run: NanoRun, name: str) -> RunConfig:
    """How ``train`` is run."""
    return RunConfig(
        out_dir=run.out_dir / name, seed=run.seed, precision=run.precision, log_every=20, save_every=100
    )
