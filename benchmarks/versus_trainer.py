"""Our training loop against transformers' Trainer: same weights, samples, precision and rule, in one run.

    OMP_NUM_THREADS=1 python benchmarks/versus_trainer.py

A model of middle size is saved in transformers' layout and trained by both, on samples of the toybox that
were read and encoded before, text, pictures and clips in one batch: fused AdamW at a constant rate, gradients
clipped, padded batches, all parameters, float32, sdpa attention. Losses are compared step by step. A step is
what passes from one batch that is asked for to the next; the first two are left out. Both sides take turns,
and medians are printed.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contest import CLOCKS, Clock, machine
from kinema.datasets.dealt import dealt
from kinema.datasets.mixture import mixture
from kinema.datasets.toybox import ToyboxImages, ToyboxText, ToyboxVideos
from kinema.models.videollama3 import checkpoint
from kinema.processors.collate import Sample, pad_samples
from kinema.processors.inputs import ModelInputs, VisualInputs
from kinema.processors.messages import Conversation, Message, TextPart
from kinema.training.init import init_weights
from kinema.training.loop import train
from kinema.training.run import RunConfig
from kinema.training.schedule import Cosine
from kinema.training.stage import Stage
from mid_size import load_theirs, make_processor, saved

RATE, SKIPPED, LOSS_ATOL = 1e-5, 2, 2e-3
MIXTURE = dealt(
    (ToyboxText(num_questions=2), 1.0),
    (ToyboxImages(num_questions=2), 2.0),
    (ToyboxVideos(num_questions=2), 1.0),
    block=4,
)


@dataclass(frozen=True)
class Outcome:
    """What a run of one side gives."""

    losses: list[float]
    seconds: list[float]
    """Of each step that counts."""


class Clocked:
    """A way to make batches that notes when it is asked for one."""

    def __init__(self, collate: Callable[[Sequence[Sample]], Any], clock: Clock) -> None:
        self.collate, self.clock = collate, clock
        self.times: list[float] = []

    def __call__(self, samples: Sequence[Sample]) -> Any:
        """The batch."""
        self.times.append(self.clock())
        return self.collate(samples)

    def seconds(self) -> list[float]:
        """From one batch to the next, without the first few."""
        return np.diff(self.times).tolist()[SKIPPED:]


def read_samples(count: int, image_token: int) -> list[Sample]:
    """Samples, whose pictures and frames stand under one placeholder, which their model knows."""
    processor = make_processor()
    talks = [MIXTURE.sample(index, np.random.default_rng(index)) for index in range(count)]
    samples = [processor.read(talk) for talk in talks]
    return [
        replace(sample, input_ids=sample.input_ids.masked_fill(sample.visual_mask, image_token))
        for sample in samples
    ]


class Numbers:
    """Sample i says i."""

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        """The number."""
        return Conversation(messages=(Message(role="user", parts=(TextPart(text=str(index)),)),))


class ReadBefore:
    """Gives the samples of those numbers."""

    def __init__(self, samples: Sequence[Sample], collate: Clocked) -> None:
        self.samples, self.collate = samples, collate

    def read(self, conversation: Conversation) -> Sample:
        """The sample of a number."""
        return self.samples[int(conversation.messages[0].text)]

    def __call__(self, conversations: Sequence[Conversation], *, with_labels: bool) -> ModelInputs:
        """A padded batch."""
        batch: ModelInputs = self.collate([self.read(talk) for talk in conversations])
        return batch

    def with_settings(self, **settings: object) -> "ReadBefore":
        """The same."""
        return self


def ours(folder: Path, samples: Sequence[Sample], batch_size: int, clock: Clock) -> Outcome:
    """One epoch by our loop."""
    collate = Clocked(lambda batch: pad_samples(batch, 0), clock)
    stage = Stage(
        name="race",
        learning_rates=dict.fromkeys(("vision_encoder", "connector", "language_model"), RATE),
        data=mixture((Numbers(), 1.0)),
        num_steps=len(samples) // batch_size,
        batch_size=batch_size,
        schedule=Cosine(num_warmup=0, final_ratio=1.0),
    )
    with tempfile.TemporaryDirectory() as scratch:
        run = RunConfig(out_dir=Path(scratch), num_workers=0, log_every=1)
        train(checkpoint.load_weights(folder), ReadBefore(samples, collate), [stage], run)
        lines = (run.out_dir / "log.jsonl").read_text().splitlines()
    return Outcome([json.loads(line)["loss"] for line in lines], collate.seconds())


def theirs(folder: Path, samples: Sequence[Sample], batch_size: int, clock: Clock) -> Outcome:
    """One epoch by their Trainer."""
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainingArguments

    class InOrder(Trainer):
        """Samples are shuffled before."""

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return SequentialSampler(train_dataset or self.train_dataset)

    collate = Clocked(as_theirs, clock)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            per_device_train_batch_size=batch_size,
            max_steps=len(samples) // batch_size,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            optim="adamw_torch_fused",
            max_grad_norm=1.0,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            remove_unused_columns=False,
        )
        model = load_theirs(folder).train()
        trainer = InOrder(model, arguments, data_collator=collate, train_dataset=list(samples))
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Outcome([float(loss) for loss in losses], collate.seconds())


def as_theirs(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """The same batch under their names."""
    batch = pad_samples(samples, 0)
    assert isinstance(batch.visual, VisualInputs)
    assert batch.labels is not None
    is_real = torch.ones_like(batch.input_ids) if batch.attention_mask is None else batch.attention_mask
    return {
        "input_ids": batch.input_ids,
        "attention_mask": is_real,
        "labels": batch.labels,
        "pixel_values": batch.visual.pixel_values,
        "image_grid_thw": batch.visual.grid_thw,
        "image_merge_sizes": batch.visual.merge_sizes,
    }


def main(steps: int, batch_size: int, repeats: int, clock: Clock) -> None:
    """Train, compare, print."""
    outcomes: dict[str, list[Outcome]] = {"ours": [], "theirs": []}
    with saved(lambda model: init_weights(model, 0)) as folder:
        token = json.loads((folder / "config.json").read_text())["image_token_id"]
        samples = read_samples(steps * batch_size, token)
        for _ in range(repeats):
            for side, run in (("ours", ours), ("theirs", theirs)):
                outcomes[side].append(run(folder, samples, batch_size, clock))
    losses = [torch.tensor(found[0].losses) for found in outcomes.values()]
    torch.testing.assert_close(*losses, atol=LOSS_ATOL, rtol=0.0)
    tokens = sum(len(sample.input_ids) for sample in samples) / steps
    print("| | s a step | tokens/s | loss, first and last |\n|---|---|---|---|")
    seconds = {side: median(s for one in found for s in one.seconds) for side, found in outcomes.items()}
    for side, found in outcomes.items():
        first, last = found[0].losses[0], found[0].losses[-1]
        print(f"| {side} | {seconds[side]:.3f} | {tokens / seconds[side]:.0f} | {first:.4f}, {last:.4f} |")
    print(f"\nours is {seconds['theirs'] / seconds['ours']:.2f} times as fast\n{machine()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    main(options.steps, options.batch_size, options.repeats, CLOCKS[options.clock])
