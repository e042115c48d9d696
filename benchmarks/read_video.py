"""Time and peak memory of reading frames: ours, everything through PyAV, OpenCV.

    python benchmarks/read_video.py                  # clips of ../shared/media, and an hour of 1080p
    python benchmarks/read_video.py --minutes 5 --repeats 5

Each reading runs in a process of its own, as peak memory belongs to a process. All give RGB frames at the
same times: one a second, at most 180, evenly spread; at their own size for clips, reduced to 448 pixels on
the longer side for the hour. ``ours_streamed`` takes frames of the stored size one by one. OpenCV is read
twice, by seeking to each frame and by going through the file; it and the loop over PyAV choose by frame
number. The hour is one minute, drawn and encoded once, its packets repeated; it is kept in ``--cache``.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_FRAMES = 180
LONGER_SIDE = 448
CLIPS = Path(__file__).parent.parent.parent / "shared" / "media"


def longer_side(height: int, width: int) -> tuple[int, int]:
    """The size of the long file's frames in every reader."""
    factor = LONGER_SIDE / max(height, width)
    return round(height * factor), round(width * factor)


def read_ours(path: str, is_long: bool) -> int:
    """One batch; the frames of the long file are reduced as they are decoded."""
    from kinema.media.video import open_video

    with open_video(path) as video:
        return len(video.read(fps=1.0, max_frames=MAX_FRAMES, size=longer_side if is_long else None))


def read_ours_streamed(path: str, is_long: bool) -> int:
    """At native size, one at a time: what a processor does that resizes by its own rule."""
    from kinema.media.video import open_video

    with open_video(path) as video:
        return sum(1 for _ in video.iter_read(fps=1.0, max_frames=MAX_FRAMES))


def read_pyav_all(path: str, is_long: bool) -> int:
    """Decode everything, keep what is wanted: what a loop over ``container.decode`` does."""
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.thread_count = "NONE", 1  # as ours
        wanted = wanted_numbers(stream.frames, float(stream.average_rate), path)
        frames = []
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                height, width = longer_side(frame.height, frame.width) if is_long else (None, None)
                frames.append(frame.to_ndarray(format="rgb24", width=width, height=height))
    return len(np.stack(frames))


def read_opencv_seek(path: str, is_long: bool) -> int:
    """Seek to each wanted frame."""
    import cv2

    capture = open_opencv(path)
    frames = []
    for number in sorted(wanted_of_opencv(capture, path)):
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        frames.append(reduced_by_opencv(capture.read()[1], is_long))
    return len(np.stack(frames))


def read_opencv_all(path: str, is_long: bool) -> int:
    """Go through the file, convert what is wanted."""
    capture = open_opencv(path)
    wanted = wanted_of_opencv(capture, path)
    frames = []
    number = 0
    while capture.grab():
        if number in wanted:
            frames.append(reduced_by_opencv(capture.retrieve()[1], is_long))
        number += 1
    return len(np.stack(frames))


def open_opencv(path: str) -> Any:
    """One thread for decoding and one for resizing, as ours has."""
    import cv2

    cv2.setNumThreads(1)
    return cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])


def wanted_of_opencv(capture: Any, path: str) -> set[int]:
    """Numbers of the wanted frames by the count and rate that OpenCV reports."""
    import cv2

    return wanted_numbers(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), capture.get(cv2.CAP_PROP_FPS), path)


def reduced_by_opencv(frame: NDArray[np.uint8], is_long: bool) -> NDArray[np.uint8]:
    """BGR to RGB, reduced if it is of the long file."""
    import cv2

    frame = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    if not is_long:
        return frame
    height, width = longer_side(*frame.shape[:2])
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)


def wanted_numbers(count: int, rate: float, path: str) -> set[int]:
    """Numbers of the frames that ours reads, from the container's count and rate."""
    if count == 0:  # not stated: PyAV has to count the packets
        import av

        with av.open(path) as container:
            count = sum(1 for packet in container.demux(video=0) if packet.size)
    seconds = count / rate
    num_frames = min(MAX_FRAMES, int(np.ceil(seconds - 1e-6)))
    step_s = 1.0 if num_frames < MAX_FRAMES else seconds / num_frames
    return {min(round(index * step_s * rate), count - 1) for index in range(num_frames)}


def draw_long_video(path: Path, minutes: int) -> None:
    """1080p, 25 frames a second, a keyframe every 10 s: a camera that pans over a textured scene."""
    from kinema.media.write import write_video

    random = np.random.default_rng(0)
    coarse = random.integers(0, 255, (100, 180, 3), np.uint8)
    scene = np.kron(coarse, np.ones((16, 16, 1), np.uint8)) // 2 + random.integers(
        0, 64, (1600, 2880, 3), np.uint8
    )

    def frames() -> Iterator[NDArray[np.uint8]]:
        for number in range(60 * 25):
            top, left = number // 3 % 500, number // 2 % 900
            yield scene[top : top + 1080, left : left + 1920]

    one_minute = path.with_name("one_minute.mp4")
    write_video(one_minute, frames(), fps=25, crf=32, codec_options={"preset": "veryfast", "g": "250"})
    repeat_packets(one_minute, path, minutes)


def repeat_packets(source: Path, target: Path, times: int) -> None:
    """Write the packets of a minute ``times`` times, one minute later each time."""
    import av

    with av.open(str(target), "w") as output:
        copy = None
        for repetition in range(times):
            with av.open(str(source)) as minute:
                stream = minute.streams.video[0]
                copy = copy or output.add_stream_from_template(stream)
                shift = int(repetition * 60 / stream.time_base)
                for packet in minute.demux(stream):
                    if packet.size:
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, copy
                        output.mux(packet)


FUNCTIONS = {
    "ours": read_ours,
    "ours_streamed": read_ours_streamed,
    "pyav_all": read_pyav_all,
    "opencv_seek": read_opencv_seek,
    "opencv_all": read_opencv_all,
}


def measure(reader: str, path: Path, is_long: bool, repeats: int) -> tuple[int, float, float]:
    """Frames, best seconds and peak megabytes of ``repeats`` processes."""
    seconds, megabytes, count = [], [], 0
    for _ in range(repeats):
        command = [sys.executable, __file__, "--child", reader, str(path), str(int(is_long))]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        count = int(output[0])
        seconds.append(float(output[1]))
        megabytes.append(float(output[2]))
    return count, min(seconds), max(megabytes)


def run_child(reader: str, path: str, is_long: bool) -> None:
    """Read once, and print frames, seconds and peak megabytes for the parent."""
    import_libraries(reader)
    started = time.perf_counter()
    count = FUNCTIONS[reader](path, is_long)
    seconds = time.perf_counter() - started
    print(count, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def import_libraries(reader: str) -> None:
    """Before the clock starts, as a program imports once."""
    if reader.startswith("opencv"):
        import cv2  # noqa: F401
    elif reader.startswith("pyav"):
        import av  # noqa: F401
    else:
        import kinema.media.video  # noqa: F401


def report(path: Path, is_long: bool, repeats: int) -> None:
    """Print one table: every reader on one file, as ratios to ours."""
    print(f"\n{path.name}, {path.stat().st_size / 1e6:.1f} MB")
    print(f"{'reader':<14} {'frames':>6} {'seconds':>9} {'MB':>7} {'time / ours':>12} {'memory / ours':>14}")
    ours = None
    for reader in FUNCTIONS:
        count, seconds, megabytes = measure(reader, path, is_long, repeats)
        ours = ours or (seconds, megabytes)
        print(
            f"{reader:<14} {count:>6} {seconds:>9.3f} {megabytes:>7.0f} "
            f"{seconds / ours[0]:>12.2f} {megabytes / ours[1]:>14.2f}"
        )


def main() -> None:
    """Parse, draw the long file if it is not there, report."""
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("--minutes", type=int, default=60, help="length of the generated 1080p video")
    parser.add_argument("--repeats", type=int, default=3, help="processes a reader; the best time counts")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "kinema-benchmarks")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--draw", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.draw:
        draw_long_video(arguments.draw, arguments.minutes)
        return
    if arguments.child:
        reader, path, is_long = arguments.child
        run_child(reader, path, is_long == "1")
        return
    cores, system, python = os.cpu_count(), platform.system(), platform.python_version()
    print(f"{platform.machine()}, {cores} cores, {system}, Python {python}")
    for clip in sorted(CLIPS.glob("*.mp4")):
        report(clip, is_long=False, repeats=arguments.repeats)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    long_video = arguments.cache / f"scene_1080p_{arguments.minutes}min.mp4"
    if not long_video.exists():  # in a child: Linux counts the peak of a parent into its later children
        draw = [sys.executable, __file__, "--minutes", str(arguments.minutes), "--draw", str(long_video)]
        subprocess.run(draw, check=True)
    report(long_video, is_long=True, repeats=1)


if __name__ == "__main__":
    main()
