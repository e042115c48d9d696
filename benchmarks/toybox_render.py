"""Frames a second that the toybox invents and draws on one core: python benchmarks/toybox_render.py."""

import time

from kinema.toybox import make_scene

SIZE = 112
SECONDS_EACH = 3.0


def main() -> None:
    """Print one row a level and rate."""
    print(f"{SIZE}x{SIZE} pixels, one process; inventing the scenes is part of the time")
    print(f"{'level':>5} {'fps':>5} {'frames/s':>10} {'scenes/s':>10}")
    for level in (1, 2, 3):
        for fps in (1.0, 24.0):
            frames_a_second, scenes_a_second = measure(level, fps)
            print(f"{level:>5} {fps:>5.0f} {frames_a_second:>10,.0f} {scenes_a_second:>10,.1f}")


def measure(level: int, fps: float) -> tuple[float, float]:
    """Frames and scenes a second, after a warm-up that fills the caches of masks."""
    for seed in range(10_000, 10_005):
        warm_up = make_scene(seed, level=level, height=SIZE, width=SIZE)
        warm_up.render(warm_up.frame_times(fps)[:200])
    num_frames = num_scenes = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SECONDS_EACH:
        scene = make_scene(num_scenes, level=level, height=SIZE, width=SIZE)
        num_frames += sum(1 for _ in scene.frames(fps))
        num_scenes += 1
    return num_frames / elapsed, num_scenes / elapsed


if __name__ == "__main__":
    main()
