"""Packed against padded training of nano on a long-tailed mixture of the toybox, at equal loss, in one run.

    OMP_NUM_THREADS=1 python benchmarks/packing.py

Short talk, pictures and a few films, of which much is said: most samples are short, and a padded batch is as
long as its longest. The same samples go through the model forwards and backwards, as a padded batch and as
packs; first the losses are compared, then both take turns, and medians are printed. Tokens are those of
samples, labelled or not, and no padding. float32.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

import torch

from contest import CLOCKS, Clock, machine
from kinema.datasets.dealt import dealt
from kinema.datasets.toybox import ToyboxImages, ToyboxText, ToyboxVideos
from kinema.models.registry import find_checkpoint
from kinema.models.videollama3 import checkpoint
from kinema.models.videollama3.processor import VideoLLaMA3Processor
from kinema.processors.collate import Sample
from kinema.processors.inputs import ModelInputs
from kinema.processors.pruning import NoPruning
from kinema.training.accumulation import backward
from kinema.training.losses import NextToken
from kinema.training.packing import Packing
from kinema.training.parallel import Trainee, trainee
from kinema.training.reading import Drawing
from kinema.training.run import RunConfig

MIXTURE = dealt(
    (ToyboxText(num_questions=2), 10.0),
    (ToyboxImages(num_questions=2, caption_share=0.2), 4.0),
    (ToyboxVideos(num_questions=4, caption_share=0.2), 1.0),
    (ToyboxVideos(num_questions=40, caption_share=1.0), 1.0),
    block=16,
)
"""As many samples a block as a batch has."""

BATCH_SIZE, LOSS_ATOL = 16, 1e-5
PACKING = Packing(max_tokens=2048)


def batches(processor: VideoLLaMA3Processor, count: int) -> list[list[Sample]]:
    """Samples of so many steps."""
    drawing = Drawing(data=MIXTURE, entropy=(0,))
    return [
        [processor.read(drawing((place, place))) for place in range(first, first + BATCH_SIZE)]
        for first in range(0, count * BATCH_SIZE, BATCH_SIZE)
    ]


def step(learner: Trainee, parts: Sequence[ModelInputs], clock: Clock) -> tuple[float, float]:
    """Seconds and loss of one step, without the optimizer, which does the same in both."""
    learner.zero_grad(set_to_none=True)
    start = clock()
    loss = backward(NextToken(), learner, parts)
    return clock() - start, loss


def main(steps: int, repeats: int, clock: Clock) -> None:
    """Read, compare, time, print."""
    loaded = checkpoint.load(find_checkpoint("nano"), dtype=torch.float32)
    processor = loaded.processor.with_settings(pruning=NoPruning())
    samples = batches(processor, steps)
    forms = {
        "padded": [[processor.collate(batch)] for batch in samples],
        "packed": [[processor.pack(row) for row in PACKING.rows(batch)] for batch in samples],
    }
    with trainee(loaded.model, RunConfig(out_dir=Path())) as learner:
        losses = {form: [step(learner, parts, clock)[1] for parts in steps] for form, steps in forms.items()}
        torch.testing.assert_close(*map(torch.tensor, losses.values()), atol=LOSS_ATOL, rtol=0.0)
        seconds: dict[str, list[float]] = {form: [] for form in forms}
        for _ in range(repeats):
            for form, steps_of_form in forms.items():
                seconds[form].append(sum(step(learner, parts, clock)[0] for parts in steps_of_form))
    lengths = sorted(len(sample.input_ids) for batch in samples for sample in batch)
    print(f"{len(lengths)} samples of {lengths[0]} to {lengths[-1]} tokens, half below {median(lengths)}")
    report(forms, seconds, losses, sum(lengths))


def report(
    forms: Mapping[str, Sequence[Sequence[ModelInputs]]],
    seconds: Mapping[str, Sequence[float]],
    losses: Mapping[str, Sequence[float]],
    num_tokens: int,
) -> None:
    """A table, and the ratio."""
    print("\n| | real tokens | rows | loss | tokens/s |\n|---|---|---|---|---|")
    for form, steps in forms.items():
        parts = [part for step in steps for part in step]
        share = num_tokens / sum(part.input_ids.numel() for part in parts)
        rows = sum(len(part.input_ids) for part in parts)
        speed = num_tokens / median(seconds[form])
        print(f"| {form} | {share:.0%} | {rows} | {fmean(losses[form]):.6f} | {speed:.0f} |")
    ratio = median(seconds["padded"]) / median(seconds["packed"])
    print(f"\npacked is {ratio:.2f} times as fast\n{machine()}; medians of {len(seconds['packed'])}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    main(options.steps, options.repeats, CLOCKS[options.clock])
