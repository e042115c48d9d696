"""Peak memory of ours and of transformers' VideoLlama3, with the same weights and clip.

    OMP_NUM_THREADS=1 python benchmarks/versus_transformers_memory.py

Each peak is that of a process of its own, beyond what it held after its imports; loading the model is part of
it. Both do what they do unasked: ours encodes a clip in parts and reads a prompt in chunks, theirs at once.
float32, sdpa attention, no gradients, nothing pruned. Linux only.
"""

import argparse
import gc
import json
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from kinema.inference.cache import StaticCache
from kinema.inference.generate import decode, prefill
from kinema.inference.sampling import Sampler, SamplingConfig
from kinema.models.videollama3 import checkpoint
from kinema.processors.inputs import ModelInputs, VisualInputs
from mid_size import CONFIG, SETTINGS, VIDEO, load_theirs, machine, prompt_ids, saved, visual_inputs


def print_memory(folder: Path) -> None:
    """Peaks of both sides, and how they grow with a clip."""
    print("\n| peak memory | ours | transformers | theirs / ours |\n|---|---|---|---|")
    for job, num_frames in (("answer", 16), ("vision", 16), ("vision", 64)):
        ours, theirs = (peak_bytes(side, job, num_frames, folder) for side in ("ours", "theirs"))
        name = f"{job}, {num_frames} frames of 224x420"
        print(f"| {name} | {ours / 1e6:.0f} MB | {theirs / 1e6:.0f} MB | {theirs / ours:.2f} |", flush=True)


def peak_bytes(side: str, job: str, num_frames: int, folder: Path) -> int:
    """Peak of a process of its own that loads the model and does a job, beyond its imports."""
    command = [sys.executable, __file__, "--child", side, job, str(num_frames), str(folder)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure_peak(side: str, job: str, num_frames: int, folder: Path) -> int:
    """In the child: ``job`` is "vision", or "answer" with a prompt and a few new tokens."""
    if side == "theirs":
        import transformers  # noqa: F401
    visual = visual_inputs([[num_frames, *VIDEO[0][0][1:]]], VIDEO[1])
    gc.collect()
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    work = our_job if side == "ours" else their_job
    with torch.inference_mode():
        work(folder, visual, answer=job == "answer")
    return status_bytes("VmHWM") - before


def our_job(folder: Path, visual: VisualInputs, *, answer: bool) -> None:
    """Encode the clip; where an answer is wanted, read it with a prompt and write 16 tokens."""
    model = checkpoint.load_weights(folder)
    if not answer:
        model.encode_visual(visual, max_patches=SETTINGS.max_patches)
        return
    ids, mask = clip_prompt(folder, int(visual.tokens_per_item.sum()))
    inputs = ModelInputs(input_ids=ids, position_ids=torch.arange(ids.shape[1])[None], visual=visual)
    embeds = model.embed(replace(inputs, visual_mask=mask), max_patches=SETTINGS.max_patches)
    cache = StaticCache(CONFIG.language, ids.shape[1] + 16)
    logits = prefill(model.language_model, embeds, inputs.position_ids, cache, chunk=SETTINGS.prefill_chunk)
    steps = decode(
        model.language_model, logits, cache, torch.tensor([ids.shape[1]]), [Sampler(SamplingConfig())]
    )
    list(islice(steps, 16))


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
    ids, _ = clip_prompt(folder, int(visual.tokens_per_item.sum()))
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        **clip,
        do_sample=False,
        max_new_tokens=16,
        pad_token_id=0,
    )


def clip_prompt(folder: Path, num_visual: int) -> tuple[Tensor, Tensor]:
    """(1, N) ids with a placeholder a visual token between 20 words, and where they stand."""
    placeholder = json.loads((folder / "config.json").read_text())["video_token_id"]
    words, clip = prompt_ids(10), torch.full((1, num_visual), placeholder)
    ids = torch.cat((words, clip, words), dim=1)
    return ids, ids == placeholder


def status_bytes(field: str) -> int:
    """A line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    child = parser.parse_args().child
    if child is None:
        with saved() as folder:
            print_memory(folder)
        print(f"\n{machine()}")
    else:
        side, job, num_frames, folder = child
        print(measure_peak(side, job, int(num_frames), Path(folder)))
