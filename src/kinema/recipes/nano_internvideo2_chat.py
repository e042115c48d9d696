"""InternVideo2's stage 3 (arXiv 2403.15377, 3.3) at the size of the toybox: a chat model on stage 2's eyes.

The published run starts from stage 2's eyes and from Mistral. These eyes are those of ``nano_internvideo2``
without ears; this language model starts from nothing, so it first learns the language of the toybox from
captions in words. Then come the published steps: the bridge of queries alone, the bridge with the eyes, and
all of it on questions, the language model by low-rank updates.

    python -m kinema.recipes.nano_internvideo2_chat runs/nano_internvideo2_chat
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
import typer

from kinema.datasets.mixture import mixture
from kinema.datasets.toybox import ToyboxImages, ToyboxText, ToyboxVideos
from kinema.models.internvideo2.chat import ChatConfig, InternVideo2Chat
from kinema.models.internvideo2.chat_checkpoint import save_chat
from kinema.models.internvideo2.chat_processor import MODEL_FRAMES, ChatProcessor, ChatProcessorConfig
from kinema.models.internvideo2.chat_start import chat_eyes
from kinema.models.internvideo2.vision_checkpoint import load_tower
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.internvideo2 import InternVideo2Vision
from kinema.processors.read import ReadSettings
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.recipes.internvideo2_stage3 import BRIDGE, EYES, UPDATES, with_updates
from kinema.recipes.nano_card import nano_card
from kinema.recipes.nano_internvideo2 import train_nano_stage1, train_nano_stage2
from kinema.recipes.nano_internvideo2_parts import settings, train_nano_parts
from kinema.recipes.nano_internvideo2_sizes import PATCH_SIZE, SIDE, WIDTH
from kinema.recipes.nano_languagebind import NanoRun
from kinema.recipes.nano_scores import nano_score_lines
from kinema.recipes.nano_sentence_pieces import kept_pieces, learn_pieces, toybox_lines
from kinema.recipes.program import run_as_program
from kinema.training.init import init_weights
from kinema.training.loop import train
from kinema.training.low_rank import merge_low_rank
from kinema.training.optimizer import OptimizerConfig
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

FILM_SIDE = 112
"""Pixels a side at which the toybox draws; the processor makes squares of ``SIDE`` of them."""
NUM_QUERIES, NUM_EXTRA_QUERIES = 16, 16
"""Both groups, of 32 and 64 as published."""


def nano_chat(vocab_size: int, eyes: InternVideo2Vision) -> InternVideo2Chat:
    """About 4 million parameters: those eyes, a new bridge, a new language model of Mistral's kind."""
    bridge = QFormerConfig(
        memory_size=WIDTH,
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_layers=3,
        num_heads=4,
        num_queries=NUM_QUERIES,
        num_extra_queries=NUM_EXTRA_QUERIES,
        cross_attention_every=1,
        vocab_size=1,  # nobody instructs it
        max_positions=1,
    )
    language = DecoderConfig(
        vocab_size=vocab_size,
        hidden_size=192,
        intermediate_size=512,
        num_layers=5,
        num_heads=6,
        num_kv_heads=2,
        head_dim=32,
        max_positions=2048,
        rope_theta=1e4,
        rms_norm_eps=1e-5,
    )
    return InternVideo2Chat(ChatConfig(vision=eyes.config, bridge=bridge, language=language))


def nano_chat_stages(run: NanoRun) -> list[Stage]:
    """The language stage and the published ones."""
    text = ToyboxText(caption_share=0.5)
    videos = ToyboxVideos(num_frames=MODEL_FRAMES, side=FILM_SIDE)
    images = ToyboxImages(side=FILM_SIDE, crowd_share=0.5)
    told = mixture(
        (replace(videos, num_questions=4, caption_share=1.0), 0.7),
        (replace(images, num_questions=4, caption_share=1.0), 0.3),
    )
    language = Stage(
        name="language",
        learning_rates={"language_model": 3e-3},
        data=mixture((text, 1.0)),
        num_steps=run.steps(300),
        batch_size=run.rows(24),
        schedule=Cosine(warmup_ratio=0.1, final_ratio=0.3),  # tuning goes on from there
        optimizer=OptimizerConfig(rule="muon", weight_decay=0.05, betas=(0.9, 0.98)),
    )
    align = replace(
        language,
        name="align",
        learning_rates=dict.fromkeys(BRIDGE, 3e-3),
        data=told,
        num_steps=run.steps(150),
        schedule=Cosine(warmup_ratio=0.05, final_ratio=0.3),
    )
    connect = replace(
        align,
        name="connect",
        learning_rates=dict.fromkeys(EYES, 1e-3) | dict.fromkeys(BRIDGE, 2e-3),
        data=mixture((videos, 0.6), (images, 0.4)),
        num_steps=run.steps(400),
    )
    instruct = replace(
        connect,
        name="instruct",
        learning_rates={**connect.learning_rates, **dict.fromkeys(UPDATES, 4e-3)},
        data=mixture((videos, 0.6), (images, 0.3), (text, 0.1)),
        num_steps=run.steps(700),
        batch_size=run.rows(16),
        schedule=Cosine(warmup_ratio=0.05, final_ratio=0.03),
    )
    return [language, align, connect, instruct]


def train_nano_chat(run: NanoRun) -> Path:
    """Run the whole recipe, eyes first; a run that was stopped goes on where it was.

    Returns:
        The folder of the finished model.
    """
    folder = run.out_dir / "model"
    if folder.exists():
        return folder
    parts = train_nano_parts(run)
    stage2 = train_nano_stage2(run, parts, train_nano_stage1(run, parts), hears=False)
    eyes = chat_eyes(load_tower(stage2).encoder)
    processor = _processor(run)
    torch.manual_seed(run.seed)
    model = nano_chat(processor.tokenizer.vocab_size, eyes)
    init_weights(model, run.seed)
    model.vision_encoder.load_state_dict(eyes.state_dict())
    *before, instruct = nano_chat_stages(run)
    train(model, processor, before, settings(run, "train_chat"))
    with_updates(model, seed=run.seed, dropout=0.0)
    train(model, processor, [instruct], settings(run, "train_instruct"))
    merge_low_rank(model)
    card = nano_card(
        "nano InternVideo2-Chat",
        "nano_internvideo2_chat",
        "Eyes, a bridge of queries and a language model of four million parameters",
    )
    save_chat(model, processor, folder, card=card)
    return folder


def _processor(run: NanoRun) -> ChatProcessor:
    """The vocabulary is learned once and kept beside the run."""
    lines = _lines(max(100, run.steps(3000)), run.seed)
    pieces = kept_pieces(run.out_dir, lambda: learn_pieces(lines, ("[INST]", "[/INST]")))
    config = ChatProcessorConfig(
        size=SIDE,
        patch_size=PATCH_SIZE,
        tokens_per_view=NUM_QUERIES + NUM_EXTRA_QUERIES,
        reading=ReadSettings(fps=None, max_frames=MODEL_FRAMES, sampling="linspace"),
    )
    return ChatProcessor(SentencePieceTokenizer(pieces), config)


def _lines(num_samples: int, seed: int) -> Iterator[str]:
    yield from toybox_lines(num_samples, seed)
    yield from ("<Video></Video>", "<Image></Image>") * 100


def _main(out_dir: Path, scale: float = 1.0, seed: int = 0, clips: int = 200, train: bool = True) -> None:
    """Train the model, unless told not to, and print its exact answers on held-out clips, and blind ones."""
    folder = out_dir / "model"
    if train:
        folder = train_nano_chat(NanoRun(out_dir=out_dir, scale=scale, seed=seed))
    for line in nano_score_lines(folder, clips):
        typer.echo(line)


if __name__ == "__main__":
    run_as_program(_main)
