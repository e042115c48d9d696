"""A small data set with every fault planted, one or two rows each."""

import io
import json
from pathlib import Path

from numbered_clips import encode, sound_file, tone
from PIL import Image

from kinema.datasets.fault import Fault
from kinema.toybox import make_scene, write_clip


def said(question, answer):
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def watched(start_s, end_s, *times_s):
    """A stream of the clip in which something is said at each time."""
    turns = [
        {"role": ("user", "assistant")[n % 2], "content": "Hm.", "time": t} for n, t in enumerate(times_s)
    ]
    return {
        "stream": True,
        "video": ["clip.mp4"],
        "start_time": start_s,
        "end_time": end_s,
        "conversation": turns,
    }


def about(file, answer, **more):
    return {"file": file, "caption": answer, **more}


def grey_png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (56, 56), (90, 90, 90)).save(file, "PNG")
    return file.getvalue()


def write_media(folder: Path) -> None:
    """A film of the toybox of six seconds with sound, and what is wrong with others."""
    write_clip(make_scene(0, level=1), folder / "clip.mp4")
    (folder / "grey.png").write_bytes(grey_png())
    (folder / "ding.wav").write_bytes(sound_file(clip=tone(2.0)))
    (folder / "cut.mkv").write_bytes(encode("matroska", "libx264", count=30)[:-400])
    (folder / "words.mp4").write_bytes(b"these are words")
    (folder / "half.png").write_bytes(grey_png()[:60])
    (folder / "empty.wav").write_bytes(b"")


GOOD = [
    {"video": "clip.mp4", "conversations": said("<video>\nWhat happens?", "A ball rolls from 1.0 to 2.5 s.")},
    about("grey.png", "<ref>grey</ref>[[0, 10, 500, 1000]] all over"),
    about("clip.mp4", "A ball.", start=1, end=4.0),
    watched(1.0, 5.0, 0.0, 2.0, 4.0),
    {"conversations": said("Who are you?", "Nobody.")},
]
"""Rows that can be learned from."""

BAD = {
    Fault.BROKEN: ['{"video": "clip.mp4", "conv'],
    Fault.MALFORMED: [
        {"words": "A ball."},
        about("clip.mp4", "A ball.", start="soon"),
        {"video": "clip.mp4", "conversations": [{"from": "parrot", "value": "<video>"}]},
    ],
    Fault.TAGS: [
        {"video": "clip.mp4", "conversations": said("What happens?", "A ball rolls.")},
        {"image": ["grey.png"], "conversations": said("<image><image>Which?", "Both.")},
    ],
    Fault.NO_ANSWER: [
        {"video": "clip.mp4", "conversations": said("<video>\nWhat?", " \n")},
        {"video": "clip.mp4", "conversations": said("<video>\nWhat?", "")[:1]},
    ],
    Fault.MISSING: [about("gone.mp4", "A ball."), {**watched(0.0, 1.0, 0.0, 0.5), "video": ["gone.mp4"]}],
    Fault.UNREADABLE: [
        about("words.mp4", "A ball."),
        about("half.png", "Grey."),
        about("cut.mkv", "Numbers."),
        {"audio": "empty.wav", "caption": "Nothing."},
    ],
    Fault.OUTSIDE: [
        about("clip.mp4", "A ball.", start=4, end=9),
        about("clip.mp4", "A ball.", start=3, end=2),
        {"video": "clip.mp4", "conversations": said("<video>\nWhen?", "At 3.0 - 71.5 seconds.")},
        about("grey.png", "<ref>it</ref>[[0, 0, 100, 100], [500, 10, 300, 1000]]"),
        watched(1.0, 3.0, 0.0, 5.0),
    ],
    Fault.TOO_LONG: [{"conversations": said("Count.", "one two three " * 400)}],
    Fault.REFUSED: [{"audio": "ding.wav", "caption": "A bell."}],
    Fault.DUPLICATE: [{"id": "again", **GOOD[0]}],
}
"""Rows by what is wrong with them."""


def write_planted(folder: Path) -> tuple[Path, dict[Fault, list[int]]]:
    """Good rows and bad ones in ``rows.jsonl``, and which rows have which fault."""
    write_media(folder)
    rows, wrong = list(GOOD), {}
    for fault, planted in BAD.items():
        wrong[fault] = list(range(len(rows), len(rows) + len(planted)))
        rows += planted
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "rows.jsonl", wrong
