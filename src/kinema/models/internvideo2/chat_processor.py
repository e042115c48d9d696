"""Conversations to the tensors that InternVideo2-Chat takes.

T frames, S side of a square, V views, Q tokens of a view.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from kinema.errors import ConfigError, InputError, OutOfBudgetError
from kinema.processors.chat import EncodedTurn, PartTokens, Turn, turns_to_text
from kinema.processors.collate import Sample, pad_samples
from kinema.processors.cut import cut_sample
from kinema.processors.hd_tiles import (
    PaddedCanvas,
    TileGrid,
    choose_grid,
    choose_padded_canvas,
    pad_frames,
    tile_views,
)
from kinema.processors.inputs import ModelInputs
from kinema.processors.inst_template import InstTemplate
from kinema.processors.labels import IGNORE_INDEX, supervise
from kinema.processors.messages import Conversation, ImagePart, TextPart, VideoPart
from kinema.processors.prepared import PreparedConversation
from kinema.processors.query_inputs import QueryInputs
from kinema.processors.read import MediaReader, ReadSettings
from kinema.processors.role_tokens import encode_role_turns
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.square_pixels import cropped_pixels, frame_levels, normalised
from kinema.processors.visuals import Clip, EncodedVisuals, VisualItem

MODEL_FRAMES = 8
"""Frames of a clip in training, but for the models called F16."""


@dataclass(frozen=True, kw_only=True)
class ChatProcessorConfig:
    """How conversations become tensors; the defaults are those of the released InternVideo2-Chat-8B."""

    template: InstTemplate = field(default_factory=InstTemplate)
    size: int = 224
    """S."""
    patch_size: int = 14
    tokens_per_view: int = 96
    """Q: all queries of the bridge."""
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
    max_tokens: int | None = None
    """Most visual tokens of a conversation; fewer tiles are cut to keep it."""
    max_length: int | None = None
    """Most tokens of a sample with labels, whose end is cut off beyond; 1024 in the training code."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.size % self.patch_size:
            raise ConfigError(
                f"a square of {self.size} pixels is not made of whole patches of {self.patch_size}."
            )
        if self.tile_fit not in ("squeeze", "pad"):
            raise ConfigError(f"tile_fit must be 'squeeze' or 'pad', got {self.tile_fit!r}.")
        for name in ("tokens_per_view", "max_tiles", "max_tokens", "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1; got {value}.")


Layout = TileGrid | PaddedCanvas | None
"""How frames become views: tiles, tiles of a padded canvas, or one view."""


class ChatProcessor:
    """Conversations to ``ModelInputs``, with exactly as many placeholders as there will be features."""

    def __init__(self, tokenizer: SentencePieceTokenizer, config: ChatProcessorConfig | None = None) -> None:
        self.tokenizer = tokenizer
        self.config = config or ChatProcessorConfig()

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer."""
        return (self.tokenizer.special_id("</s>"),)

    def __call__(
        self,
        conversations: Conversation | Sequence[Conversation],
        *,
        add_generation_prompt: bool = False,
        with_labels: bool = False,
    ) -> ModelInputs:
        """Make one batch, padded on the right.

        Args:
            conversations: one row each; images and videos stand in the first turn of the user.
            add_generation_prompt: end where the assistant begins.
            with_labels: label the assistant's words and what ends them.

        Raises:
            InputError: if a conversation holds what the model does not take, or has no label where some are
                wanted.
            MediaError: if a file cannot be read.
            OutOfBudgetError: if ``max_tokens`` cannot be kept.
        """
        if isinstance(conversations, Conversation):
            conversations = [conversations]
        prepared = [
            self.prepare(talk, add_generation_prompt=add_generation_prompt, with_labels=with_labels)
            for talk in conversations
        ]
        return pad_samples([one.sample for one in prepared], self.tokenizer.special_id("</s>"))

    def prepare(
        self, conversation: Conversation, *, add_generation_prompt: bool = False, with_labels: bool = False
    ) -> PreparedConversation:
        """Encode one conversation; as ``__call__``, and what reports need beside it."""
        visuals = self.encode(conversation)
        turns = self._turns(conversation, visuals.items if visuals else (), add_generation_prompt)
        encoded = encode_role_turns(turns, self.tokenizer)
        sample = Sample(
            input_ids=torch.tensor([token for turn in encoded for token in turn.ids], dtype=torch.int64),
            visual_mask=torch.tensor([flag for turn in encoded for flag in turn.is_visual], dtype=torch.bool),
            visual=None if visuals is None else visuals.inputs,
        )
        if with_labels:
            sample = self._labelled(sample, encoded)
        return PreparedConversation(sample=sample, text=turns_to_text(turns), visuals=visuals)

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

    def tokenize(
        self,
        conversation: Conversation,
        items: Sequence[VisualItem],
        *,
        add_generation_prompt: bool = False,
    ) -> list[EncodedTurn]:
        """Token ids, turn by turn, for images and videos that were measured or encoded before.

        Args:
            conversation: what is said.
            items: what ``measure`` or ``encode`` gave for the same images and videos; no file is opened.
            add_generation_prompt: end where the assistant begins.
        """
        return encode_role_turns(self._turns(conversation, items, add_generation_prompt), self.tokenizer)

    def with_settings(self, **changes: Any) -> "ChatProcessor":
        """The same with fields of its config changed, such as ``max_tiles``."""
        return ChatProcessor(self.tokenizer, replace(self.config, **changes))

    def with_limits(self, *, max_tokens: int) -> "ChatProcessor":
        """The same with another limit of visual tokens in a conversation."""
        return self.with_settings(max_tokens=max_tokens)

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

    def _turns(
        self, conversation: Conversation, items: Sequence[VisualItem], add_generation_prompt: bool
    ) -> list[Turn]:
        media = [PartTokens(tokens_per_frame=item.tokens_per_frame, times_s=item.times_s) for item in items]
        return self.config.template.turns(conversation, media, add_generation_prompt=add_generation_prompt)

    def _labelled(self, sample: Sample, encoded: Sequence[EncodedTurn]) -> Sample:
        """The sample with its labels, cut to ``max_length``."""
        labels = torch.tensor(supervise(encoded).labels)
        if bool((labels == IGNORE_INDEX).all()):
            raise InputError("a sample without an answer has no label; give the assistant's turn some words.")
        sample = replace(sample, labels=labels)
        return sample if self.config.max_length is None else cut_sample(sample, self.config.max_length)


def _add_media(conversation: Conversation, reader: MediaReader) -> None:
    for part in (part for message in conversation.messages for part in message.parts):
        if isinstance(part, ImagePart):
            reader.add_image(part)
        elif isinstance(part, VideoPart):
            reader.add_video(part)
        elif not isinstance(part, TextPart):
            raise InputError("this model takes text, images and videos. Leave the audio part out.")
