"""Conversations to the tensors that Video-LLaVA takes.

Where the original code has several behaviours, each is a field of ``VideoLLaVAProcessorConfig`` and each
original a preset of it.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from kinema.errors import ConfigError, InputError, ModelWarning
from kinema.models.languagebind.config import NUM_FRAMES
from kinema.processors.chat import EncodedTurn, PartTokens, Piece, Placeholders, Turn, turns_to_text
from kinema.processors.clip_pixels import CLIPPixelsConfig
from kinema.processors.collate import PaddingSide, Sample, pack_samples, pad_samples
from kinema.processors.cut import cut_sample
from kinema.processors.inputs import ModelInputs
from kinema.processors.labels import IGNORE_INDEX, supervise
from kinema.processors.messages import Conversation, TextPart
from kinema.processors.official_labels import MARKER, MARKER_ID, official_v1_labels
from kinema.processors.prepared import PreparedConversation
from kinema.processors.read import ReadSettings
from kinema.processors.role_template import VICUNA_V1, RoleTemplate
from kinema.processors.role_tokens import encode_role_turns, read_special_strings
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.signals import SignalsConfig
from kinema.processors.towers import TowerReader, TowerSight
from kinema.processors.visuals import EncodedVisuals, Kind, VisualItem

Compat = Literal["official", "cls_dropped", "transformers"]
"""Whose processor is reproduced, see ``VideoLLaVAProcessorConfig.for_compat``."""

LabelRule = Literal["offsets", "official"]
"""Which tokens carry loss.

``"offsets"``: the answers and their ends, by their place in the text; a sample without any is an error.
``"official"``: the count of the original code, which throws a sample away where it does not come out, see
``processors.official_labels``; it says so.
"""


@dataclass(frozen=True, kw_only=True)
class VideoLLaVAProcessorConfig:
    """How conversations become tensors. The defaults are those of the original code at 984e65b."""

    template: RoleTemplate = VICUNA_V1
    """What both stages of training say; the original's evaluation of videos says ``LLAVA_V1``."""
    pixels: CLIPPixelsConfig = field(default_factory=lambda: CLIPPixelsConfig(image_fit="pad"))
    """How pictures become squares; videos are cropped always."""
    patch_size: int = 14
    frames_as_images: bool = False
    """Whether frames are resized before they are normalised, and bicubically, as transformers' port does it
    up to rounding; no weights have learned it."""
    video_class_token: bool = True
    """Whether the class token of each frame is read: 8 · 257 = 2056 tokens a video, or 2048. The released
    weights were most likely trained without, and their code reads it since January 2024."""
    window: int | None = NUM_FRAMES
    """Frames that the video tower sees together. More are seen window by window; None for a tower without
    attention over time."""
    signal_kinds: tuple[Kind, ...] = ()
    """Of ``audio``, ``depth`` and ``thermal``: what the model has towers for besides."""
    signals: SignalsConfig = field(default_factory=SignalsConfig)
    """How those become pictures."""
    reading: ReadSettings = field(
        default_factory=lambda: ReadSettings(fps=None, max_frames=NUM_FRAMES, sampling="linspace")
    )
    """How clips become frames, where a part does not say."""
    max_tokens: int | None = None
    """Most visual tokens of a conversation: 2 x 2, 4 x 4, ... patches are averaged into one to keep it."""
    max_images: int = 16
    """Images of a conversation. More are an error; the original leaves some out at random."""
    max_videos: int | None = None
    """Videos of a conversation; None for any number. The original takes one."""
    special_strings: Literal["text", "tokens"] = "text"
    """What ``</s>`` in somebody's words is: characters, or the end of a turn as for the original."""
    label_rule: LabelRule = "offsets"
    max_length: int | None = None
    """Most tokens of a sample with labels, whose end is cut off beyond; 3072 in the published scripts."""
    padding_side: PaddingSide = "right"

    def __post_init__(self) -> None:
        if self.patch_size < 1 or self.pixels.size % self.patch_size:
            raise ConfigError(
                f"a square of {self.pixels.size} pixels is not made of whole patches of {self.patch_size}."
            )
        for name in ("window", "max_tokens", "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, or None; got {value}.")

    @classmethod
    def for_compat(cls, compat: Compat, **changes: Any) -> "VideoLLaVAProcessorConfig":
        """The preset of a published implementation, with fields changed.

        - ``"official"``: PKU-YuanGroup/Video-LLaVA at 984e65b (the default of every field), but for what it
          leaves to chance: flips of videos, and which images of many are seen.
        - ``"cls_dropped"``: the same as of November 2023, when the weights came out: 2048 tokens a video.
        - ``"transformers"``: the port: no greeting, pictures cropped and resized with antialias, first frames
          of equal parts, and no windows, for it has no attention over time.

        Raises:
            ConfigError: if there is no such preset.
        """
        official = cls()
        presets = {
            "official": official,
            "cls_dropped": replace(official, video_class_token=False),
            "transformers": replace(
                official,
                template=replace(VICUNA_V1, system="", system_end=""),
                pixels=CLIPPixelsConfig(antialias=True),
                frames_as_images=True,
                window=None,
                reading=ReadSettings(fps=None, max_frames=NUM_FRAMES, sampling="video_llava_transformers"),
                padding_side="left",
            ),
        }
        if compat not in presets:
            raise ConfigError(f"there is no compat mode {compat!r}; there are: {', '.join(presets)}.")
        return replace(presets[compat], **changes)


class VideoLLaVAProcessor:
    """Conversations to ``ModelInputs``, with exactly as many placeholders as there will be features."""

    def __init__(
        self, tokenizer: SentencePieceTokenizer, config: VideoLLaVAProcessorConfig | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.config = config or VideoLLaVAProcessorConfig()

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer."""
        return (self.tokenizer.special_id("</s>"),)

    @property
    def pad_id(self) -> int:
        """What fills short rows."""
        return self.tokenizer.special_id("<pad>" if self.tokenizer.has("<pad>") else "<unk>")

    def __call__(
        self,
        conversations: Conversation | Sequence[Conversation],
        *,
        add_generation_prompt: bool = False,
        with_labels: bool = False,
        pack: bool = False,
    ) -> ModelInputs:
        """Make one batch.

        Args:
            conversations: one row each; images and videos stand in any order, and in any turn of the user.
            add_generation_prompt: end with the opening of the assistant's turn.
            with_labels: label the assistant's words.
            pack: put the conversations end to end into one row instead of padding.

        Raises:
            InputError: if a conversation holds what the model does not take, or has no label where some are
                wanted.
            MediaError: if a file cannot be read.
            OutOfBudgetError: if ``max_tokens`` cannot be kept.
        """
        if isinstance(conversations, Conversation):
            conversations = [conversations]
        samples = [
            self.prepare(
                conversation, add_generation_prompt=add_generation_prompt, with_labels=with_labels
            ).sample
            for conversation in conversations
        ]
        return self.pack(samples) if pack else self.collate(samples)

    def read(self, conversation: Conversation) -> Sample:
        """One conversation with labels, for ``collate`` or ``pack``; raises as ``__call__``."""
        return self.prepare(conversation, with_labels=True).sample

    def collate(self, samples: Sequence[Sample]) -> ModelInputs:
        """A batch of a row each, padded as the config says."""
        return pad_samples(samples, self.pad_id, side=self.config.padding_side)

    def pack(self, samples: Sequence[Sample]) -> ModelInputs:
        """A batch of one row, samples end to end."""
        return pack_samples(samples)

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
            sample = self._labelled(sample, encoded, turns)
        return PreparedConversation(sample=sample, text=turns_to_text(turns), visuals=visuals)

    def measure(self, conversation: Conversation) -> tuple[VisualItem, ...]:
        """What ``encode`` would give. Frames are chosen, but of a video only the first is decoded."""
        with self._reader() as reader:
            self._add_media(conversation, reader)
        return reader.measure(max_tokens=self.config.max_tokens) if reader.clips else ()

    def encode(self, conversation: Conversation) -> EncodedVisuals | None:
        """All images, videos, sounds and maps of a conversation, read and resized; None where there are none.

        The stretches of a long sound are drawn from the seed of the conversation, as LanguageBind's training
        draws them; of one without, each is the middle of those there are.
        """
        with self._reader() as reader:
            self._add_media(conversation, reader)
            if not reader.clips:
                return None
            return reader.encode(
                pixels=self.config.pixels,
                frames_as_images=self.config.frames_as_images,
                max_tokens=self.config.max_tokens,
                generator=conversation.generator(),
            )

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
            add_generation_prompt: end with the opening of the assistant's turn.
        """
        return encode_role_turns(self._turns(conversation, items, add_generation_prompt), self.tokenizer)

    def with_settings(self, **changes: Any) -> "VideoLLaVAProcessor":
        """The same with fields of its config changed, such as by a stage of training.

        ``image_fit``, which is a field of its ``pixels``, may be named by itself.
        """
        if "image_fit" in changes:
            pixels = changes.get("pixels", self.config.pixels)
            changes["pixels"] = replace(pixels, image_fit=changes.pop("image_fit"))
        return VideoLLaVAProcessor(self.tokenizer, replace(self.config, **changes))

    def with_limits(self, *, max_tokens: int) -> "VideoLLaVAProcessor":
        """The same with another limit of visual tokens in a conversation."""
        return self.with_settings(max_tokens=max_tokens)

    def _reader(self) -> TowerReader:
        config = self.config
        square, patch_size = (config.pixels.size,) * 2, config.patch_size
        image = TowerSight(size=square, patch_size=patch_size)
        video = replace(image, has_class_token=config.video_class_token, window=config.window)
        sound = config.signals.sound
        audio = TowerSight(size=(sound.num_mel_bins, sound.target_length), patch_size=patch_size)
        sights: dict[Kind, TowerSight] = {"image": image, "video": video}
        sights |= {kind: audio if kind == "audio" else image for kind in config.signal_kinds}
        return TowerReader(config.reading, sights, config.signals)

    def _add_media(self, conversation: Conversation, reader: TowerReader) -> None:
        for part in (part for message in conversation.messages for part in message.parts):
            if not isinstance(part, TextPart):
                reader.add(part)
        limits: dict[Kind, int | None] = {"image": self.config.max_images, "video": self.config.max_videos}
        for kind, most in limits.items():
            count = sum(clip.kind == kind for clip in reader.clips)
            if most is not None and count > most:
                raise InputError(
                    f"a conversation of this model holds {most} {kind}s at most, this one has {count}. "
                    f"Leave some out, or raise max_{kind}s."
                )

    def _turns(
        self, conversation: Conversation, items: Sequence[VisualItem], add_generation_prompt: bool
    ) -> list[Turn]:
        media = [PartTokens(tokens_per_frame=item.tokens_per_frame, times_s=item.times_s) for item in items]
        turns = self.config.template.turns(conversation, media, add_generation_prompt=add_generation_prompt)
        return read_special_strings(turns) if self.config.special_strings == "tokens" else turns

    def _labelled(self, sample: Sample, encoded: Sequence[EncodedTurn], turns: Sequence[Turn]) -> Sample:
        """The sample with its labels, cut to ``max_length``."""
        length = len(sample.input_ids) if self.config.max_length is None else self.config.max_length
        if self.config.label_rule == "official":
            labels = torch.tensor(self._official_labels(turns, encoded))
            return replace(cut_sample(sample, length), labels=labels[:length])
        labels = torch.tensor(supervise(encoded).labels)
        if bool((labels == IGNORE_INDEX).all()):
            raise InputError("a sample without an answer has no label; give the assistant's turn some words.")
        return cut_sample(replace(sample, labels=labels), length)

    def _official_labels(self, turns: Sequence[Turn], encoded: Sequence[EncodedTurn]) -> list[int]:
        """Labels of the original rule, of which each marker has as many as it has placeholders."""
        counted = [replace(turn, pieces=tuple(map(_as_marker, turn.pieces))) for turn in turns]
        prompt = turns_to_text(counted).removeprefix(self.config.template.begin_token)
        official = official_v1_labels(prompt, self.tokenizer, max_length=self.config.max_length)
        ids = [token for turn in encoded for token in turn.ids]
        labels: list[int] = []
        widths = iter(_placeholder_counts(turns))
        for token, label in zip(official.input_ids, official.labels, strict=True):
            labels += [label] * (next(widths, 0) if token == MARKER_ID else 1)
        if len(labels) != len(ids):
            raise InputError(
                f"the original counts {len(labels)} tokens of this sample, there are {len(ids)}: a text "
                "holds a marker or a special token. Use label_rule='offsets'."
            )
        if official.lost is not None:
            warnings.warn(
                f"a sample lost all its labels, as in the original ({official.lost}); label_rule='offsets' "
                "keeps them.",
                ModelWarning,
                stacklevel=2,
            )
        return labels


def _as_marker(piece: Piece) -> Piece:
    """The placeholders of an image or frame as the one marker that the original counts."""
    return MARKER if isinstance(piece, Placeholders) else piece


def _placeholder_counts(turns: Sequence[Turn]) -> list[int]:
    pieces = [piece for turn in turns for piece in turn.pieces]
    return [piece.num_tokens for piece in pieces if isinstance(piece, Placeholders)]
