"""InternVideo2's stages 1 and 2 (arXiv 2403.15377, 3.1 and 3.2) at the size of the toybox.

Stage 1: a student that sees a fifth of the patches, drawn by the semantic teacher's attention, learns the
features of both teachers there. Stage 2: its encoder, text layers and ears learn by contrast, matching and
hidden words of stills, of films, and of films with their sound; masked and with the ears frozen, then
unmasked and with the eyes frozen. What the published run takes from others is in ``nano_internvideo2_parts``.

    python -m kinema.recipes.nano_internvideo2 runs/nano_internvideo2
"""

import shutil
from pathlib import Path

import torch
import typer

from kinema.datasets.joined import Joined
from kinema.datasets.mixture import mixture
from kinema.datasets.toybox_films import ToyboxFilms
from kinema.datasets.toybox_pairs import ToyboxStillPairs
from kinema.evaluation.toybox_films import film_retrieval
from kinema.models.internvideo2.aligned import AlignedProcessor
from kinema.models.internvideo2.stage2 import InternVideo2Stage2
from kinema.models.internvideo2.stage2_checkpoint import load, save_stage2
from kinema.models.internvideo2.student import InternVideo2Student
from kinema.models.internvideo2.teachers import Teacher
from kinema.models.internvideo2.vision_checkpoint import load_student, save_vision
from kinema.processors.bert_text import BertTokenizer
from kinema.recipes import internvideo2_stage1 as published1
from kinema.recipes import internvideo2_stage2 as published2
from kinema.recipes.nano_card import nano_card
from kinema.recipes.nano_internvideo2_parts import (
    load_pieces,
    load_teachers,
    read_ears,
    read_words,
    settings,
    train_nano_parts,
)
from kinema.recipes.nano_internvideo2_sizes import (
    MAE_FRAMES,
    SIDE,
    STAGE2_FRAMES,
    nano_processor,
    nano_stage2,
    nano_student,
    word_masking,
)
from kinema.recipes.nano_languagebind import NanoRun
from kinema.recipes.program import run_as_program
from kinema.training.alignment import TERMS, Alignment
from kinema.training.distillation import TeacherAlignment
from kinema.training.init import init_weights
from kinema.training.loop import train
from kinema.training.optimizer import OptimizerConfig
from kinema.training.order import OneKind, Shuffled
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage
from kinema.training.teacher_cache import CachedTeacher

NUM_CLIPS = 1536
"""Of stage 1, seen again and again, so that teachers see each once. Their features take half a gigabyte until
it ends."""

VIDEO_WEIGHT = 3.0
"""Of terms of video where the model hears, against one of those of sound. As published all kinds count alike;
in equally many steps that costs contrast of what is seen, which has the steps to itself without ears."""


def train_nano_stage1(run: NanoRun, parts: Path) -> Path:
    """Train the student, unless it is there.

    Args:
        run: how.
        parts: as ``train_nano_parts`` gives it.

    Returns:
        A folder that ``load_student`` takes.
    """
    folder = run.out_dir / "stage1"
    if not folder.exists():
        features = run.out_dir / "features"
        teachers = zip(load_teachers(parts), ("semantic", "motion"), strict=True)
        cached = [CachedTeacher(teacher, features / name) for teacher, name in teachers]
        student = start_nano_student(run.seed)
        processor = AlignedProcessor(nano_processor(load_pieces(parts)))
        torch.manual_seed(run.seed)
        train(student, processor, [student_stage(run, *cached)], settings(run, "train_stage1"))
        save_vision(student, folder)
        shutil.rmtree(features)
    return folder


def train_nano_stage2(
    run: NanoRun,
    parts: Path,
    stage1: Path | None,
    *,
    hears: bool = True,
    has_speech: bool = False,
    name: str = "stage2",
) -> Path:
    """Train eyes, ears and text, unless they are there.

    Args:
        run: how.
        parts: as ``train_nano_parts`` gives it.
        stage1: what the eyes start from; None to start them from nothing.
        hears: whether the model has ears.
        has_speech: whether captions of films go on with what is said in them.
        name: of the folder.

    Returns:
        A folder that ``kinema.load`` takes.
    """
    folder = run.out_dir / name
    if not folder.exists():
        tokenizer = load_pieces(parts)
        model = start_nano_stage2(run.seed, parts, stage1, hears=hears)
        processor = nano_processor(tokenizer)
        torch.manual_seed(run.seed)
        films = ToyboxFilms(num_frames=STAGE2_FRAMES, side=SIDE, has_sound=hears, has_speech=has_speech)
        stages = [masked_stage(run, tokenizer, films), unmasked_stage(run, tokenizer, films)]
        train(model, AlignedProcessor(processor), stages, settings(run, f"train_{name}"))
        card = nano_card(
            "nano InternVideo2, stage 2",
            "nano_internvideo2",
            "Eyes, ears and text layers of two million parameters",
        )
        save_stage2(model, processor, folder, card=card)
    return folder


def start_nano_student(seed: int) -> InternVideo2Student:
    """The student before its training."""
    torch.manual_seed(seed)
    student = InternVideo2Student(nano_student())
    init_weights(student, seed)
    return student


def start_nano_stage2(seed: int, parts: Path, stage1: Path | None, *, hears: bool) -> InternVideo2Stage2:
    """The model before its training; arguments as for ``train_nano_stage2``."""
    torch.manual_seed(seed)
    model = InternVideo2Stage2(nano_stage2(load_pieces(parts).vocab_size, hears=hears))
    init_weights(model, seed)
    student = start_nano_student(seed) if stage1 is None else load_student(stage1)
    student.resize_positions(num_frames=STAGE2_FRAMES, image_size=SIDE)
    kept = model.vision_encoder.state_dict().keys()  # the motion teacher's decoders end with stage 1
    seen = student.state_dict()
    model.vision_encoder.load_state_dict({key: seen[key] for key in kept})
    read_words(model.text_encoder, parts)
    if model.hearing is not None:
        read_ears(model.hearing.audio_encoder, parts)
    return model


def student_stage(run: NanoRun, clip_teacher: Teacher, mae_teacher: Teacher) -> Stage:
    """The published parts, losses and mask."""
    num_clips = max(4, round(NUM_CLIPS * min(1.0, run.scale)))
    return Stage(
        name="student",
        learning_rates=dict.fromkeys(published1.PARTS + published1.MAE_PARTS, 2e-3),
        data=mixture((ToyboxFilms(num_frames=MAE_FRAMES, side=SIDE, has_sound=False), 1.0)),
        num_steps=run.steps(400),
        batch_size=run.rows(32),
        order=Shuffled(num_clips),
        loss=TeacherAlignment(clip_teacher=clip_teacher, mae_teacher=mae_teacher, mask_ratio=0.8),
        schedule=Cosine(warmup_ratio=0.05, final_ratio=0.05),
        optimizer=OptimizerConfig(
            rule="muon",
            weight_decay=0.05,
            betas=(0.9, 0.98),
            undecayed=published1.UNDECAYED + published1.MAE_UNDECAYED,
        ),
    )


def masked_stage(run: NanoRun, tokenizer: BertTokenizer, films: ToyboxFilms) -> Stage:
    """The published first step, with the ears frozen.

    Half of a film's patches are hidden, not 80 %: of 144 that would leave too few to show a toy.
    """
    terms = published2.VIDEO_TERMS + (published2.AUDIO_VIDEO_TERMS if films.has_sound else ())
    loss = Alignment(
        weights=_weights(terms, hears=films.has_sound),
        captions=published2.CAPTIONS,
        masking=word_masking(tokenizer),
        video_mask_ratio=0.5,
    )
    parts = published2.READING + (published2.HEARING if films.has_sound else ())
    rates = dict.fromkeys(published2.EYES, 1e-3) | _rates(parts)
    return _alignment_stage(run, "masked", rates, run.steps(300), loss, films)


def unmasked_stage(run: NanoRun, tokenizer: BertTokenizer, films: ToyboxFilms) -> Stage:
    """The published second step: all patches, the eyes frozen; sound is matched with text, too."""
    heard_terms = published2.AUDIO_TERMS + published2.AUDIO_VIDEO_TERMS
    terms = published2.VIDEO_TERMS + (heard_terms if films.has_sound else ())
    loss = Alignment(
        weights=_weights(terms, hears=films.has_sound),
        captions=published2.CAPTIONS,
        masking=word_masking(tokenizer),
        video_mask_ratio=0.0,
        image_mask_ratio=0.0,
    )
    parts = published2.READING + ((*published2.EARS, *published2.HEARING) if films.has_sound else ())
    return _alignment_stage(run, "unmasked", _rates(parts), run.steps(700), loss, films)


def _weights(terms: tuple[str, ...], *, hears: bool) -> dict[str, float]:
    """As published all terms count alike; here matching, which learns last, counts four times."""
    weights = {term: 4.0 if TERMS[term].objective == "match" else 1.0 for term in terms}
    if hears:
        weights |= {term: VIDEO_WEIGHT * weights[term] for term in published2.VIDEO_TERMS}
    return weights


def _rates(parts: tuple[str, ...]) -> dict[str, float]:
    return {part: 5e-4 if part == "temperature" else 2e-3 for part in parts}


def _alignment_stage(
    run: NanoRun, name: str, rates: dict[str, float], num_steps: int, loss: Alignment, films: ToyboxFilms
) -> Stage:
    """Three batches of films to one of stills; none is seen twice."""
    batch_size = run.rows(24)
    data = Joined(
        parts=(
            (films, 3 * num_steps * batch_size),
            (ToyboxStillPairs(side=SIDE), num_steps * batch_size),
        )
    )
    return Stage(
        name=name,
        learning_rates=rates,
        data=mixture((data, 1.0)),
        num_steps=num_steps,
        batch_size=batch_size,
        order=OneKind(data.counts),
        loss=loss,
        schedule=Cosine(warmup_ratio=0.05, final_ratio=0.02),
        optimizer=OptimizerConfig(rule="muon", weight_decay=0.05, betas=(0.9, 0.98)),
    )


def _main(out_dir: Path, scale: float = 1.0, seed: int = 0, clips: int = 200, train: bool = True) -> None:
    """Train all of it, unless told not to, and print how well held-out films are found."""
    folder = out_dir / "stage2"
    if train:
        run = NanoRun(out_dir=out_dir, scale=scale, seed=seed)
        parts = train_nano_parts(run)
        folder = train_nano_stage2(run, parts, train_nano_stage1(run, parts))
    loaded = load(folder)
    for name, recall in film_retrieval(loaded.model, loaded.processor, num_films=clips).items():
        typer.echo(f"{name:32} R@1 {recall[1]:6.1%}  R@5 {recall[5]:6.1%}  R@10 {recall[10]:6.1%}")


if __name__ == "__main__":
    run_as_program(_main)
