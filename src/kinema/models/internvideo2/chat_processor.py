"""Images and videos of conversations to the tensors that InternVideo2-Chat takes.

T frames, S side of a square, V views, Q tokens of a view.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from kinema.errors import ConfigError, InputError, OutOfBudgetError
from kinema.processors.hd_tiles import (
    PaddedCanvas,
    TileGrid,
    choose_grid,
    choose_padded_canvas,
    pad_frames,
    tile_views,
)
from kinema.processors.inst_processor import InstProcessor, InstSettings
from kinema.processors.messages import Conversation, ImagePart, TextPart, VideoPart
from kinema.processors.query_inputs import QueryInputs
from kinema.processors.read import MediaReader, ReadSettings
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.square_pixels import cropped_pixels, frame_levels, normalised
from kinema.processors.visuals import Clip, EncodedVisuals, VisualItem

MODEL_FRAMES = 8
"""Frames of a clip in training, but for the models called F16."""


@dataclass(frozen=True, kw_only=True)
class ChatProcessorConfig(InstSettings):
    """How conversations become tensors; the defaults are those of the released InternVideo2-Chat-8B."""

    size: int = 224
    """S."""
    patch_size: int = 14
    max_tiles: int | None = None
    """Most tiles that frames are cut into, beside the view of all of it: 6 in the training of the HD models,
    4 in their demo. None for one view, the middle square of each frame."""
    tile_fit: Literal["squeeze", "pad"] = "squeeze"
    """Whether frames are squeezed into the canvas that is nearest to their shape, as in the HD model's demo,
    or keep it between white rows, the other rule of its code."""
    reading: ReadSettings = field(
        default_factory=lambda: ReadSettings(
            fps=None, max_frames=MODEL_FRAMES, sampling="internvideo2_segment"
        )
    )
    """How clips become frames, where a part does not say."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 1 or self.size % self.patch_size:
            raise ConfigError(
                f"a square of {self.size} pixels is not made of whole patches of {self.patch_size}."
            )
        if self.tile_fit not in ("squeeze", "pad"):
            raise ConfigError(f"tile_fit must be 'squeeze' or 'pad', got {self.tile_fit!r}.")
        if self.max_tiles is not None and self.max_tiles < 1:
            raise ConfigError(f"max_tiles must be at least 1; got {self.max_tiles}.")


Layout = TileGrid | PaddedCanvas | None
"""How frames become views: tiles, tiles of a padded canvas, or one view."""


class ChatProcessor(InstProcessor[ChatProcessorConfig]):
    """Conversations to ``ModelInputs``, with exactly as many placeholders as there will be features."""

    def __init__(self, tokenizer: SentencePieceTokenizer, config: ChatProcessorConfig | None = None) -> None:
        super().__init__(tokenizer, config or ChatProcessorConfig())

    def measure(self, conversation: Conversation) -> tuple[VisualItem, ...]:
        """What ``encode`` would give. Frames are chosen, but of a video only the first is decoded."""
        with MediaReader(self.config.reading) as reader:
            _add_media(conversation, reader)
            layouts = self._layouts(reader.clips)
            return tuple(
                self._describe(clip, clip.times_s, layout)
                for clip, layout in zip(reader.clips, layouts, strict=True)
            )

    def encode(self, conversation: Conversation) -> EncodedVisuals | None:
        """All images and videos of a conversation, read and cut into views; None where there are none."""
        with MediaReader(self.config.reading) as reader:
            _add_media(conversation, reader)
            if not reader.clips:
                return None
            layouts = self._layouts(reader.clips)
            frames: list[list[Tensor]] = [[] for _ in reader.clips]
            times: list[list[float | None]] = [[] for _ in reader.clips]
            for frame in reader.frames():
                frames[frame.clip].append(frame_levels(frame.pixels))
                times[frame.clip].append(frame.time_s)
        for clip, own in zip(reader.clips, frames, strict=True):
            if not own:
                raise InputError(f"{clip.name}: gives no frame.")
        items = tuple(map(self._describe, reader.clips, times, layouts))
        views = tuple(map(self._views, map(torch.stack, frames), layouts))
        inputs = QueryInputs(items=views, tokens_per_view=self.config.tokens_per_view)
        return EncodedVisuals(items=items, inputs=inputs)

    def _layouts(self, clips: Sequence[Clip]) -> list[Layout]:
        """The views of each clip, as many as the budget allows."""
        most, budget = self.config.max_tiles, self.config.max_tokens
        choose = choose_grid if self.config.tile_fit == "squeeze" else choose_padded_canvas
        for tiles in range(most or 0, 0, -1):
            layouts: list[Layout] = [
                choose(clip.height, clip.width, size=self.config.size, max_tiles=tiles) for clip in clips
            ]
            if budget is None or sum(map(self._num_tokens, layouts)) <= budget:
                return layouts
        single = len(clips) * self._num_tokens(None)
        if budget is not None and single > budget:
            raise OutOfBudgetError(
                f"{len(clips)} images and videos give {single} visual tokens at least, but max_tokens is "
                f"{budget}. Show fewer of them, or allow more tokens."
            )
        return [None] * len(clips)

    def _num_tokens(self, layout: Layout) -> int:
        grid = layout.grid if isinstance(layout, PaddedCanvas) else layout
        num_views = 1 if grid is None else grid.columns * grid.rows + 1
        return num_views * self.config.tokens_per_view

    def _views(self, levels: Tensor, layout: Layout) -> Tensor:
        """(T, 3, H, W) to (V, T, 3, S, S)."""
        size = self.config.size
        if layout is None:
            return cropped_pixels(levels, size=size)[None]
        if isinstance(layout, PaddedCanvas):
            return normalised(tile_views(pad_frames(levels, layout, size=size), layout.grid, size=size))
        return normalised(tile_views(levels, layout, size=size))

    def _describe(self, clip: Clip, times_s: Sequence[float | None], layout: Layout) -> VisualItem:
        side, tokens = self.config.size // self.config.patch_size, self._num_tokens(layout)
        num_views = tokens // self.config.tokens_per_view
        return VisualItem(
            kind=clip.kind,
            name=clip.name,
            times_s=tuple(times_s),
            original_size=(clip.height, clip.width),
            grid_thw=(num_views * len(times_s), side, side),
            merge_size=1,
            tokens_per_frame=(self.config.tokens_per_view,) * num_views,
            frames_together=len(times_s),
            fixed_tokens=tokens,
        )


def _add_media(conversation: Conversation, reader: MediaReader) -> None:
    for part in (part for message in conversation.messages for part in message.parts):
        if isinstance(part, ImagePart):
            reader.add_image(part)
        elif isinstance(part, VideoPart):
            reader.add_video(part)
        elif not isinstance(part, TextPart):
            raise InputError("this model takes text, images and videos. Leave the audio part out.")
