"""Peak memory of ours and of transformers' VideoLlama3, with the same weights and clip.

    OMP_NUM_THREADS=1 python benchmarks/versus_transformers_memory.py

Each peak is that of a process of its own, beyond what it held after its imports; loading the model is part of
it. Both do what they do unasked: ours encodes a clip in parts and reads a prompt in chunks, theirs at once.
float32, sdpa attention, no gradients, nothing pruned. Linux only.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from contest import machine
from decoding import SETTINGS, clip_prompt, our_answer
from kinema.models.videollama3 import checkpoint
from kinema.processors.inputs import ModelInputs, VisualInputs
from mid_size import VIDEO, load_theirs, saved, visual_inputs
from peak import print_peaks, run_memory

JOBS = (("answer", 16), ("vision", 16), ("vision", 64))
NUM_NEW = 16


def print_memory() -> None:
    """Peaks of both sides, and how they grow with a clip."""
    jobs = [(job, count, f"{job}, {count} frames of 224x420") for job, count in JOBS]
    with saved() as folder:
        print_peaks(__file__, jobs, folder)
    print(f"\n{machine()}")


def work(side: str, job: str, num_frames: int, folder: Path) -> Callable[[], None]:
    """``job`` is "vision", or "answer" with a prompt and a few new tokens."""
    visual = visual_inputs([[num_frames, *VIDEO[0][0][1:]]], VIDEO[1])
    return partial(our_job if side == "ours" else their_job, folder, visual, answer=job == "answer")


def our_job(folder: Path, visual: VisualInputs, *, answer: bool) -> None:
    """Encode the clip; where an answer is wanted, read it with a prompt and write a few tokens."""
    model = checkpoint.load_weights(folder)
    if not answer:
        model.encode_visual(visual, max_patches=SETTINGS.max_patches)
        return
    ids, mask = clip_prompt(int(visual.tokens_per_item.sum()), placeholder_of(folder))
    positions = torch.arange(ids.shape[1])[None]
    inputs = ModelInputs(input_ids=ids, position_ids=positions, visual_mask=mask, visual=visual)
    our_answer(model, inputs, num_new=NUM_NEW)


def their_job(folder: Path, visual: VisualInputs, *, answer: bool) -> None:
    """The same with theirs."""
    model = load_theirs(folder)
    clip = {
        "pixel_values_videos": visual.pixel_values,
        "video_grid_thw": visual.grid_thw,
        "video_merge_sizes": visual.merge_sizes,
    }
    if not answer:
        model.model.get_video_features(**clip)
        return
    ids, _ = clip_prompt(int(visual.tokens_per_item.sum()), placeholder_of(folder))
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        **clip,
        do_sample=False,
        max_new_tokens=NUM_NEW,
        pad_token_id=0,
    )


def placeholder_of(folder: Path) -> int:
    """The token that stands for a visual one."""
    return int(json.loads((folder / "config.json").read_text())["video_token_id"])


if __name__ == "__main__":
    run_memory(work, print_memory)
