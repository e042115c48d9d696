"""The audio captioner of InternVideo2's data engine (arXiv 2403.15377) at the size of the toybox.

The published run starts from BEATs and a language model, and trains the Q-Former alone. These start from
nothing: ears learn to name sounds (``nano_ears``), the language model learns to speak of sounds that it is
told in words. Then both are frozen, and the Q-Former with its projection learns, from captions of what is
heard, to tell the language model what the ears hear.

    python -m kinema.recipes.nano_audio_captioner runs/nano_audio_captioner
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import typer

from kinema.datasets.mixture import mixture
from kinema.datasets.toybox_sounds import HEARD_PROMPT, ToyboxSounds
from kinema.evaluation.toybox_sounds import HeardScores, ask_films, caption_films, score_heard
from kinema.inference.engine import VideoLanguageModel
from kinema.inference.load import load
from kinema.models.internvideo2.captioner import AudioCaptioner, CaptionerConfig
from kinema.models.internvideo2.captioner_checkpoint import save_captioner
from kinema.models.internvideo2.captioner_processor import CaptionerProcessor, CaptionerProcessorConfig
from kinema.modules.audio.beats import BEATs
from kinema.modules.connectors.qformer import QFormerConfig
from kinema.modules.language.decoder import DecoderConfig
from kinema.processors.beats_features import BEATsFeaturesConfig
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.recipes.internvideo2_audio_captioner import LEARNING_PARTS
from kinema.recipes.nano_card import nano_card
from kinema.recipes.nano_ears import SoundNaming, draw_scenes, train_nano_ears
from kinema.recipes.nano_fit import Fit
from kinema.recipes.nano_internvideo2_sizes import nano_beats
from kinema.recipes.nano_languagebind import NanoRun
from kinema.recipes.nano_sentence_pieces import kept_pieces, learn_pieces
from kinema.recipes.program import run_as_program
from kinema.training.init import init_weights
from kinema.training.loop import train
from kinema.training.optimizer import OptimizerConfig
from kinema.training.run import RunConfig
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage

logger = logging.getLogger(__name__)

SOUND = BEATsFeaturesConfig(num_mel_bins=32, num_samples=8 * 16_000)
"""A window: the longest film of level 1."""
NUM_QUERIES = 8


def nano_captioner(vocab_size: int) -> CaptionerConfig:
    """The ears of the nano InternVideo2, a bridge of 8 queries, and a small language model."""
    ears = nano_beats()
    bridge = QFormerConfig(
        memory_size=ears.hidden_size,
        hidden_size=128,
        intermediate_size=384,
        num_layers=2,
        num_heads=4,
        num_queries=NUM_QUERIES // 2,
        num_extra_queries=NUM_QUERIES // 2,
        cross_attention_every=1,
        vocab_size=1,  # nobody instructs it
        max_positions=1,
    )
    language = DecoderConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=384,
        num_layers=3,
        num_heads=2,
        num_kv_heads=2,
        head_dim=64,
        max_positions=1024,
        rope_theta=1e4,
        rms_norm_eps=1e-5,
    )
    return CaptionerConfig(audio=ears, bridge=bridge, language=language)


def nano_captioner_stages(run: NanoRun) -> list[Stage]:
    """The language stage, of words alone, and the published one."""
    language = Stage(
        name="language",
        learning_rates={"language_model": 3e-3},
        data=mixture((ToyboxSounds(is_told=True), 1.0)),
        num_steps=run.steps(300),
        batch_size=run.rows(32),
        schedule=Cosine(warmup_ratio=0.05, final_ratio=0.05),
        optimizer=OptimizerConfig(rule="muon", weight_decay=0.05, betas=(0.9, 0.98)),
    )
    hearing = replace(
        language,
        name="captions",
        learning_rates=dict.fromkeys(LEARNING_PARTS, 2e-3),
        data=mixture((ToyboxSounds(), 0.6), (ToyboxSounds(level=2), 0.4)),
        num_steps=run.steps(500),
    )
    return [language, hearing]


def train_nano_captioner(run: NanoRun) -> Path:
    """Run the whole recipe, ears first; a run that was stopped goes on where it was.

    Returns:
        The folder of the finished model.
    """
    folder = run.out_dir / "model"
    if folder.exists():
        return folder
    processor = _processor(run)
    ears = _ears(run)
    torch.manual_seed(run.seed)
    model = AudioCaptioner(nano_captioner(processor.tokenizer.vocab_size))
    init_weights(model, run.seed)
    model.audio_encoder.load_state_dict(ears.state_dict())
    settings = RunConfig(
        out_dir=run.out_dir / "train", seed=run.seed, precision=run.precision, log_every=20, save_every=100
    )
    train(model, processor, nano_captioner_stages(run), settings)
    card = nano_card(
        "nano audio captioner",
        "nano_audio_captioner",
        "BEATs, a Q-Former and a language model of about a million parameters",
        caption_prompt=HEARD_PROMPT,
    )
    save_captioner(model, processor, folder, card=card)
    return folder


def nano_captioner_answers(folder: Path, *, num_films: int = 100) -> tuple[float, float]:
    """Share of right answers to whether a sound is heard, and the same where no film is played."""
    model = _load(folder)
    return (
        ask_films(model, num_films=num_films),
        ask_films(model, num_films=num_films, hears=False),
    )


def nano_captioner_scores(folder: Path, *, num_films: int = 100) -> dict[str, HeardScores]:
    """Captions of held-out films.

    Returns:
        ``heard``; ``blind``, where no film is played; ``constant``, the caption that is most often true;
        ``shuffled``, each of what was heard in another film; and ``long``, films of one to four windows.
    """
    model = _load(folder)
    said, true = caption_films(model, num_films=num_films)
    deaf, _ = caption_films(model, num_films=num_films, hears=False)
    ((common, _),) = Counter(true).most_common(1)
    return {
        "heard": score_heard(said, true),
        "blind": score_heard(deaf, true),
        "constant": score_heard([common] * len(true), true),
        "shuffled": score_heard([*said[1:], said[0]], true),
        "long": score_heard(*caption_films(model, num_films=num_films, level=2)),
    }


def _load(folder: Path) -> VideoLanguageModel:
    model = load(folder)
    assert isinstance(model, VideoLanguageModel)
    return model


def _processor(run: NanoRun) -> CaptionerProcessor:
    """The vocabulary is learned once and kept beside the run."""
    lines = _lines(max(50, run.steps(1000)), run.seed)
    pieces = kept_pieces(run.out_dir, lambda: learn_pieces(lines, ("[INST]", "[/INST]")))
    config = CaptionerProcessorConfig(
        sound=SOUND, patch_size=nano_beats().patch_size, tokens_per_view=NUM_QUERIES
    )
    return CaptionerProcessor(SentencePieceTokenizer(pieces), config)


def _lines(num_samples: int, seed: int) -> Iterator[str]:
    for index in range(num_samples):
        talk = ToyboxSounds(is_told=True).sample(index, np.random.default_rng([seed, index]))
        yield from (line for message in talk.messages for line in message.text.splitlines() if line)
        yield "<Audio></Audio>"


def _ears(run: NanoRun) -> BEATs:
    """Trained once and kept beside the run."""
    path = run.out_dir / "ears.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        config = Fit(name="ears", num_steps=run.steps(200), precision=run.precision)
        torch.manual_seed(run.seed)
        naming = SoundNaming(nano_beats(), SOUND, tells_seconds=True)
        init_weights(naming, run.seed)
        train_nano_ears(naming, ToyboxSounds(), config, batch_size=run.rows(32), seed=run.seed)
        held_out = draw_scenes(ToyboxSounds(split="validation"), 64, np.random.default_rng([run.seed]))
        share = naming.share_named(held_out)
        logger.info("ears name what is heard at %.1f %% of all moments", 100 * share)
        torch.save(naming.ears.state_dict(), path)
    ears = BEATs(nano_beats())
    ears.load_state_dict(torch.load(path, weights_only=True))
    return ears


def _main(out_dir: Path, scale: float = 1.0, seed: int = 0, films: int = 100, train: bool = True) -> None:
    """Train the model, unless told not to, and print how well held-out films are captioned, and blind."""
    folder = out_dir / "model"
    if train:
        folder = train_nano_captioner(NanoRun(out_dir=out_dir, scale=scale, seed=seed))
    for name, scores in nano_captioner_scores(folder, num_films=films).items():
        typer.echo(
            f"{name:9} captions exact {scores.exact:6.1%}, sounds F1 {scores.f1:6.1%} (precision "
            f"{scores.precision:.1%}, recall {scores.recall:.1%})"
        )
    hearing, blind = nano_captioner_answers(folder, num_films=films)
    typer.echo(f"is it heard? {hearing:.1%} right, blind {blind:.1%}")


if __name__ == "__main__":
    run_as_program(_main)
