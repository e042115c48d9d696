"""InternVideo2's video encoder: beside its formula written plainly, and what masking saves.

    OMP_NUM_THREADS=1 python benchmarks/internvideo2_encoder.py
    OMP_NUM_THREADS=2 python benchmarks/internvideo2_encoder.py --only embedding

The formula is that of the original's path without fused kernels: a convolution over the clip, norms spelled
out, one square of attention a layer, keys and values of every token in the pool. Both have the same weights;
outputs are compared first, then both take turns, and medians are printed. float32. Linux only, for the
memory.

Masking is timed of the student alone, and of a whole step with a teacher of the student's size, which sees
all tokens: asked, and with its features kept on disk.
"""

import argparse
import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.models.internvideo2.config import (
    distilled_student,
    stage1_student,
    vision_1b,
    vision_b14,
    vision_s14,
)
from kinema.models.internvideo2.student import InternVideo2Student
from kinema.models.internvideo2.teachers import ClipTeacher, Teacher
from kinema.modules.vision.internvideo2 import InternVideo2Tower, InternVideo2VisionConfig
from kinema.modules.vision.token_masks import mask_by_attention
from kinema.training.distillation import TeacherAlignment
from kinema.training.teacher_cache import CachedTeacher

SIZES = {
    "S/14": vision_s14(),
    "B/14, 4 of 12 layers": replace(vision_b14(), num_layers=4),
    "1B, 1 of 40 layers": replace(vision_1b(), num_layers=1),
}


def main() -> None:
    """Time, compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("embedding", "masking"))
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        name, way, num_frames = options.child
        print(measure_peak(name, way, int(num_frames)))
        return
    pixels = torch.randn(1, options.frames, 3, 224, 224)
    if options.only != "masking":
        print(f"\n{torch.get_num_threads()} threads\n")
        print(
            "| a clip to its vector | ours s | by the clock | plain s | plain / ours | ours MB | plain MB |"
        )
        print("|---|---|---|---|---|---|---|")
        for name, config in SIZES.items():
            print_encoder(name, config, pixels, options.repeats)
    if options.only != "embedding":
        print("\n| stage 1, forward and backward | all tokens s | 80 % masked s | share |\n|---|---|---|---|")
        print_masking("S/14", SIZES["S/14"], pixels, options.repeats)
        print_distilling("S/14", SIZES["S/14"], pixels, options.repeats)


@torch.inference_mode()
def print_encoder(name: str, config: InternVideo2VisionConfig, pixels: Tensor, repeats: int) -> None:
    """One row: seconds and peak memory of both ways, at equal outputs."""
    tower = with_every_weight(InternVideo2Tower(config)).eval()
    ways = [lambda: tower(pixels).pooled, lambda: plain_tower(tower, pixels)]
    torch.testing.assert_close(ways[0](), ways[1](), atol=1e-3, rtol=1e-3)
    (ours, clock), (plain, _) = timed(ways, repeats)
    our_bytes, plain_bytes = (peak_bytes(name, way, pixels.shape[1]) for way in ("ours", "plain"))
    print(
        f"| {name} | {ours:.2f} | {clock:.2f} | {plain:.2f} | {plain / ours:.2f} | {our_bytes / 1e6:.0f} | "
        f"{plain_bytes / 1e6:.0f} |",
        flush=True,
    )


def print_masking(name: str, config: InternVideo2VisionConfig, pixels: Tensor, repeats: int) -> None:
    """One row: a student's forward and backward with all tokens, and with a fifth of them."""
    student = InternVideo2Student(stage1_student(config))
    keep_mask = mask_by_attention(torch.rand(1, pixels.shape[1], 256), 0.8)

    def step(mask: Tensor | None) -> Tensor:
        features = student(pixels, mask)
        assert features.mae is not None
        loss = features.clip.sum() + features.clip_pooled.sum() + features.mae.sum()
        loss.backward()
        student.zero_grad(set_to_none=True)
        return loss

    (whole, _), (masked, _) = timed([lambda: step(None), lambda: step(keep_mask)], repeats)
    print(f"| {name}, the student | {whole:.2f} | {masked:.2f} | {masked / whole:.1%} |", flush=True)


def print_distilling(name: str, config: InternVideo2VisionConfig, pixels: Tensor, repeats: int) -> None:
    """Two rows: a step of distillation with its teacher asked, and with the teacher's features kept."""
    student = InternVideo2Student(replace(distilled_student(config), clip_size=config.hidden_size))
    teacher = ClipTeacher(InternVideo2Tower(config), interval=1.0)
    batch = SimpleNamespace(pixel_values=pixels)

    def step(asked: Teacher, mask_ratio: float) -> Tensor:
        loss = TeacherAlignment(clip_teacher=asked, mask_ratio=mask_ratio, frame_stride=1)(student, batch)
        loss.backward()
        student.zero_grad(set_to_none=True)
        return loss

    with tempfile.TemporaryDirectory() as folder:
        kept = CachedTeacher(teacher, Path(folder))
        for what, asked in (("its teacher asked", teacher), ("its teacher's features kept", kept)):
            ways = [partial(step, asked, ratio) for ratio in (0.0, 0.8)]
            (whole, _), (masked, _) = timed(ways, repeats)
            print(f"| {name}, {what} | {whole:.2f} | {masked:.2f} | {masked / whole:.1%} |", flush=True)


def plain_tower(tower: InternVideo2Tower, pixels: Tensor) -> Tensor:
    """The pooled vector of clips of the table's own size, step by step as the paper and the original have
    it."""
    encoder, patch = tower.encoder, tower.encoder.config.patch_size
    kernel = encoder.patch_embedding.weight.view(-1, 3, 1, patch, patch)
    patches = F.conv3d(pixels.transpose(1, 2), kernel, encoder.patch_embedding.bias, stride=(1, patch, patch))
    tokens = patches.flatten(2).transpose(1, 2)
    classes = encoder.class_token.expand(len(tokens), 1, -1)
    tokens = torch.cat([classes, tokens], dim=1) + encoder.positions.video
    for layer in encoder.layers:
        attended = plain_attention(layer.attention, plain_rms(layer.norm1, tokens))
        tokens = tokens + attended * layer.scale1
        inner = F.gelu(F.linear(plain_rms(layer.norm2, tokens), layer.mlp.fc1.weight, layer.mlp.fc1.bias))
        tokens = tokens + F.linear(inner, layer.mlp.fc2.weight, layer.mlp.fc2.bias) * layer.scale2
    return plain_pool(tower.pool, tokens)


def plain_attention(attention: nn.Module, tokens: Tensor) -> Tensor:
    """Normed queries and keys, and the whole square of attention."""
    query, key, value = F.linear(tokens, attention.qkv.weight).chunk(3, dim=-1)
    normed = plain_rms(attention.query_norm, query), plain_rms(attention.key_norm, key), value
    query, key, value = (x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for x in normed)
    weights = (query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)).softmax(-1)
    merged = (weights @ value).transpose(1, 2).flatten(2)
    return F.linear(merged, attention.out.weight, attention.out.bias)


def plain_rms(norm: nn.Module, tokens: Tensor) -> Tensor:
    """Root mean square norm, spelled out."""
    mean_square = tokens.float().pow(2).mean(-1, keepdim=True)
    return norm.weight * (tokens * torch.rsqrt(mean_square + norm.eps))


def plain_pool(pool: nn.Module, tokens: Tensor) -> Tensor:
    """Attention of the mean token, with a key and a value of every token."""
    sources = {"query": tokens.mean(1, keepdim=True), "key": tokens, "value": tokens}
    query, key, value = (
        F.linear(getattr(pool, f"{part}_norm")(x), getattr(pool, part).weight, getattr(pool, part).bias)
        .unflatten(-1, (16, -1))
        .transpose(1, 2)
        for part, x in sources.items()
    )
    weights = (query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)).softmax(-1)
    return F.linear((weights @ value).transpose(1, 2).flatten(1), pool.out.weight, pool.out.bias)


def with_every_weight(tower: InternVideo2Tower) -> InternVideo2Tower:
    """No scale of 1e-5, which would hide every layer from the comparison."""
    for name, parameter in tower.named_parameters():
        if name.endswith(("scale1", "scale2")):
            nn.init.constant_(parameter, 0.5)
    return tower


def timed(functions: Sequence[Callable[[], Tensor]], repeats: int) -> list[tuple[float, float]]:
    """Median seconds of the processor and of the clock, taking turns, after one turn that is not counted.

    With one thread both are the same where nothing else runs; those of the processor stay so where other jobs
    do.
    """
    seconds: list[list[tuple[float, float]]] = [[] for _ in functions]
    for turn in range(repeats + 1):
        for function, taken in zip(functions, seconds, strict=True):
            start = time.process_time(), time.perf_counter()
            function()
            if turn:
                taken.append((time.process_time() - start[0], time.perf_counter() - start[1]))
    return [
        (statistics.median(x for x, _ in taken), statistics.median(x for _, x in taken)) for taken in seconds
    ]


def peak_bytes(name: str, way: str, num_frames: int) -> int:
    """Peak of a process of its own, beyond what it held with the weights and the clip."""
    command = [sys.executable, __file__, "--child", name, way, str(num_frames)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


@torch.inference_mode()
def measure_peak(name: str, way: str, num_frames: int) -> int:
    """In the child: embed a clip once."""
    tower, pixels = InternVideo2Tower(SIZES[name]).eval(), torch.randn(1, num_frames, 3, 224, 224)
    gc.collect()
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    plain_tower(tower, pixels) if way == "plain" else tower(pixels).pooled
    return status_bytes("VmHWM") - before


def status_bytes(field: str) -> int:
    """A line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
