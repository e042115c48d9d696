"""The golden Video-LLaVA as checkpoint folders, and its samples as our conversations."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from kinema.media.frames import FrameBatch
from kinema.models.video_llava.processor import VideoLLaVAProcessor
from kinema.processors.dialects import from_sharegpt
from kinema.processors.inputs import ModelInputs
from kinema.processors.messages import Conversation, ImagePart, Message, Part, VideoPart

MAX_POSITIONS = 4096
"""Room for several videos; the golden config has few, and no weight depends on it."""


def official_config(golden: Path) -> dict[str, object]:
    """The golden ``config.json``, with the sizes of its towers, which no published tower has."""
    content = json.loads((golden / "video_llava.config.json").read_text())
    sizes = {f"mm_{modality}_tower_config": tower for modality, tower in content["towers"].items()}
    return {**content["config"], **sizes, "max_position_embeddings": MAX_POSITIONS}


def official_folder(golden: Path, folder: Path) -> Path:
    """The official layout."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(golden / "video_llava.weights.safetensors", folder / "model.safetensors")
    shutil.copyfile(golden / "tokenizer.model", folder / "tokenizer.model")
    (folder / "config.json").write_text(json.dumps(official_config(golden)))
    return folder


def transformers_folder(golden: Path, folder: Path) -> Path:
    """transformers' layout, spelled as on the hub."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(golden / "video_llava_hf.weights.safetensors", folder / "model.safetensors")
    shutil.copyfile(golden / "tokenizer.model", folder / "tokenizer.model")
    content = json.loads((golden / "video_llava_hf.config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 2}))
    return folder


def read_record(turns: list[dict[str, str]], num_frames: int) -> Conversation:
    """A record of the golden set, its markers as grey pictures and clips."""
    said = "".join(turn["value"] for turn in turns)
    files = {kind: ["x"] * said.count(f"<{kind}>") for kind in ("image", "video")}
    conversation = from_sharegpt({**files, "conversations": turns})
    clip = FrameBatch(
        data=np.full((num_frames, 28, 28, 3), 128, np.uint8),
        pts_s=np.arange(num_frames, dtype=np.float64),
        duration_s=float(num_frames),
    )

    def grey(part: Part) -> Part:
        if isinstance(part, ImagePart):
            return replace(part, source=clip.data[0])
        return replace(part, source=clip) if isinstance(part, VideoPart) else part

    messages = [replace(m, parts=tuple(map(grey, m.parts))) for m in conversation.messages]
    return Conversation(messages=tuple(messages))


def prompt(text: str, num_frames: int) -> Conversation:
    """The user's turn of a rendered prompt, markers a frame as one video where there are as many."""
    said = text.partition("USER: ")[2].removesuffix(" ASSISTANT:")
    said = said.replace("<image>" * num_frames, "<video>")
    return read_record([{"from": "human", "value": said}], num_frames)


def make_inputs(
    processor: VideoLLaVAProcessor,
    conversations: list[Conversation],
    pixels: list[Tensor],
    *,
    with_labels: bool = True,
) -> ModelInputs:
    """A batch of our processor, with the pixels of the golden set in place of grey."""
    inputs = processor(conversations, with_labels=with_labels, add_generation_prompt=not with_labels)
    if inputs.visual is None:
        assert not pixels
        return inputs
    items = [
        replace(item, pixel_values=official_pixels(values))
        for item, values in zip(inputs.visual.items, pixels, strict=True)
    ]
    return replace(inputs, visual=replace(inputs.visual, items=tuple(items)))


def official_pixels(values: Tensor) -> Tensor:
    """(3, H, W) of an image or (3, T, H, W) of a video to (T, 3, H, W)."""
    frames = values.float()
    return frames[None] if frames.ndim == 3 else frames.transpose(0, 1)


def as_user(*parts: Part) -> Conversation:
    """What the user says once."""
    return Conversation(messages=(Message(role="user", parts=parts),))
