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
    visuals = processor.encode(conversation)
    folder.mkdir(parents=True, exist_ok=True)
    items = [_write_item(visuals, index, folder) for index in range(len(visuals.items))] if visuals else []
    text = json.dumps({"items": items}, indent=2, ensure_ascii=False) + "\n"
    (folder / INDEX).write_text(text, encoding="utf-8")


def _write_item(visuals: "EncodedVisuals", index: int, folder: Path) -> dict[str, Any]:
    item, is_kept = visuals.items[index], visuals.inputs.kept(index)
    frames = []
    for number, pixels in enumerate(visuals.frames(index)):
        file, time_s, kept = f"{index:02d}-{number:04d}.png", item.times_s[number], is_kept[number]
        label = f"{kept.sum()}/{kept.size} tokens"
        _draw(pixels, kept, label if time_s is None else f"{time_s:.2f}s  {label}").save(folder / file)
        blocks = ["".join("#" if block else "." for block in row) for row in kept]
        frames.append({"file": file, "time_s": time_s, "kept_tokens": int(kept.sum()), "blocks": blocks})
    return {"name": item.name, "kind": item.kind, "original_size": list(item.original_size), "frames": frames}


def _draw(pixels: NDArray[np.uint8], is_kept: NDArray[np.bool_], label: str) -> Image.Image:
    """A frame (H, W, 3), a cross over every block that was pruned, and the label below."""
    height, width, _ = pixels.shape
    picture = Image.new("RGB", (width, height + STRIP), "black")
    picture.paste(Image.fromarray(pixels), (0, 0))
    pen = ImageDraw.Draw(picture)
    side = height // len(is_kept)
    for row, column in np.argwhere(~is_kept).tolist():
        left, top, right, bottom = (side * edge for edge in (column, row, column + 1, row + 1))
        pen.line((left, top, right - 1, bottom - 1), fill=CROSS)
        pen.line((left, bottom - 1, right - 1, top), fill=CROSS)
    pen.text((2, height + 1), label, fill="white", font=ImageFont.load_default(10))
    return picture
