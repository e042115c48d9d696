"""``--frames-to``: the frames that the model saw, as pictures with their times.

Letters: H W pixels of a frame.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from kinema.inference.engine import VideoLanguageModel
    from kinema.processors.messages import Conversation
    from kinema.processors.visuals import EncodedVisuals

INDEX = "index.json"
STRIP = 14
"""Height in pixels of the strip below a frame that carries its time."""
CROSS = "black"
"""Colour of the lines over blocks that were pruned; what the model reads is left pixel for pixel."""


def write_seen(
    model: "VideoLanguageModel", conversation: "Conversation", folder: Path, *, max_tokens: int | None
) -> None:
    """Write what a model sees of a conversation into a folder.

    Frames are read again, by the rule that gave the model its own: they are the same, pixel for pixel. Beside
    them lies ``index.json``, in which a block of a frame is ``#`` where the model read it and ``.`` where it
    was pruned.

    Args:
        model: whose processor prepares the frames: chooses, resizes and prunes them.
        conversation: the one it was asked.
        folder: made if it is not there.
        max_tokens: limit of visual tokens it was asked with.
    """
    processor = model.processor if max_tokens is None else model.processor.with_limits(max_tokens=max_tokens)
    write_frames(processor.encode(conversation), folder)


def write_frames(visuals: "EncodedVisuals | None", folder: Path) -> None:
    """Write frames that a model's processor encoded into a folder, as ``write_seen`` does."""
    folder.mkdir(parents=True, exist_ok=True)
    items = [_write_item(visuals, index, folder) for index in range(len(visuals.items))] if visuals else []
    text = json.dumps({"items": items}, indent=2, ensure_ascii=False) + "\n"
    (folder / INDEX).write_text(text, encoding="utf-8")


def _write_item(visuals: "EncodedVisuals", index: int, folder: Path) -> dict[str, Any]:
    item, is_kept = visuals.items[index], visuals.inputs.kept(index)
    frames = []
    for number, pixels in enumerate(visuals.frames(index)):
        file, time_s, kept = f"{index:02d}-{number:04d}.png", item.times_s[number], is_kept[number]
        _with_strip(crossed(pixels, kept), seen_label(kept, time_s)).save(folder / file)
        blocks = ["".join("#" if block else "." for block in row) for row in kept]
        frames.append({"file": file, "time_s": time_s, "kept_tokens": int(kept.sum()), "blocks": blocks})
    return {"name": item.name, "kind": item.kind, "original_size": list(item.original_size), "frames": frames}


def crossed(pixels: NDArray[np.uint8], is_kept: NDArray[np.bool_]) -> Image.Image:
    """A frame (H, W, 3) with a cross over every block that was pruned."""
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    side = picture.height // len(is_kept)
    for row, column in np.argwhere(~is_kept).tolist():
        left, top, right, bottom = (side * edge for edge in (column, row, column + 1, row + 1))
        pen.line((left, top, right - 1, bottom - 1), fill=CROSS)
        pen.line((left, bottom - 1, right - 1, top), fill=CROSS)
    return picture


def seen_label(is_kept: NDArray[np.bool_], time_s: float | None) -> str:
    """When a frame is shown, and how much of it the model reads."""
    label = f"{is_kept.sum()}/{is_kept.size} tokens"
    return label if time_s is None else f"{time_s:.2f}s  {label}"


def _with_strip(picture: Image.Image, label: str) -> Image.Image:
    """A picture with a label below."""
    framed = Image.new("RGB", (picture.width, picture.height + STRIP), "black")
    framed.paste(picture, (0, 0))
    pen = ImageDraw.Draw(framed)
    pen.text((2, picture.height + 1), label, fill="white", font=ImageFont.load_default(10))
    return framed
