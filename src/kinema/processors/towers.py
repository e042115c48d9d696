"""Media of one conversation to items for towers: filled to whole windows, and merged to keep a budget.

T frames, S side of a square, m merge size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from kinema.errors import InputError, OutOfBudgetError
from kinema.media.rules import linspace_truncated
from kinema.processors.clip_pixels import CLIPPixelsConfig, image_pixels, video_pixels
from kinema.processors.messages import AudioPart, ImagePart, VideoFrame, VideoPart
from kinema.processors.read import MediaReader, ReadSettings
from kinema.processors.signals import SignalsConfig, read_depth, read_heat, read_sound
from kinema.processors.tower_inputs import TowerInputs, TowerItem
from kinema.processors.visuals import Clip, EncodedVisuals, Kind, VisualItem


@dataclass(frozen=True, kw_only=True)
class TowerSight:
    """What the tower of one modality makes of a frame."""

    size: tuple[int, int]
    """Height and width in pixels."""
    patch_size: int
    has_class_token: bool = False
    """Whether the language model reads the class token of each frame."""
    window: int | None = None
    """Frames that the tower sees together; None for one that sees each alone."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        height, width = self.size
        return height // self.patch_size, width // self.patch_size


def fill_windows(num_frames: int, window: int | None) -> list[int]:
    """Which frames are seen, so that every window is full: the last one repeats frames, evenly.

    That is what a video model is trained to see of a short clip: Video-LLaVA (arXiv 2311.10122) draws its 8
    frames by ``linspace_truncated``, which repeats some where there are fewer.

    Args:
        num_frames: T, how many there are.
        window: frames seen together; None takes all as they are.
    """
    if window is None:
        return list(range(num_frames))
    first = (num_frames - 1) // window * window  # of the last window
    rest = linspace_truncated(num_frames - first, window) + first
    return [*range(first), *rest.tolist()]


class TowerReader:
    """The media of one conversation, each for its tower; a context, as it holds files open."""

    def __init__(
        self, reading: ReadSettings, sights: Mapping[Kind, TowerSight], signals: SignalsConfig
    ) -> None:
        """Begin without media.

        Args:
            reading: how clips become frames, where their parts do not say.
            sights: of every modality that the model has a tower for.
            signals: how sound, depth and heat become pictures.
        """
        self.clips: list[Clip] = []
        """What was added, in order."""
        self._sights, self._signals = sights, signals
        self._reader = MediaReader(reading)
        self._read: list[int] = []  # places in clips of what the reader reads
        self._others: dict[int, ImagePart | AudioPart] = {}  # and what is read here, by its place

    def __enter__(self) -> Self:
        self._reader.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.__exit__(kind, error, trace)

    def add(self, part: ImagePart | VideoPart | AudioPart) -> None:
        """Plan one part.

        Raises:
            InputError: if the model has no tower for it.
            MediaError: if there is no such file.
        """
        kind = kind_of(part)
        if kind not in self._sights:
            raise InputError(
                f"this model has no tower for {kind}; it takes text and {', '.join(self._sights)}. "
                "Leave that part out."
            )
        if isinstance(part, VideoPart):
            self._reader.add_video(part)
        elif isinstance(part, ImagePart) and kind == "image":
            self._reader.add_image(part)
        else:
            height, width = self._sights[kind].size
            clip = Clip(kind=kind, name=f"<{kind}>", times_s=(None,), height=height, width=width)
            self._others[len(self.clips)] = part
            self.clips.append(clip)
            return
        self._read.append(len(self.clips))
        self.clips.append(self._reader.clips[-1])

    def measure(self, *, max_tokens: int | None) -> tuple[VisualItem, ...]:
        """What ``encode`` would give, from numbers of frames alone.

        Raises:
            OutOfBudgetError: if the tokens cannot be brought below ``max_tokens``.
        """
        return _merged(
            [_describe(clip, clip.times_s, self._sights[clip.kind]) for clip in self.clips], max_tokens
        )

    def encode(
        self,
        *,
        pixels: CLIPPixelsConfig,
        frames_as_images: bool,
        max_tokens: int | None,
        generator: torch.Generator | None = None,
    ) -> EncodedVisuals:
        """Read all media, each frame made a square as it comes.

        Args:
            pixels: how pictures become squares, and how large those are.
            frames_as_images: whether frames of videos become squares as pictures do; they are never padded.
            max_tokens: most visual tokens of all; None for no limit.
            generator: draws the stretches of long sounds, one after the other; None as ``read_sound`` says.

        Raises:
            InputError: if a clip gives no frame, or a signal is not what it says.
            OutOfBudgetError: if the tokens cannot be brought below ``max_tokens``.
        """
        cropped = replace(pixels, image_fit="crop")
        squares: list[list[Tensor]] = [[] for _ in self.clips]
        times: list[list[float | None]] = [[] for _ in self.clips]
        for frame in self._reader.frames():
            place = self._read[frame.clip]
            if self.clips[place].kind == "image":
                square = image_pixels(frame.pixels, pixels)
            elif frames_as_images:
                square = image_pixels(frame.pixels, cropped)
            else:
                square = video_pixels([frame.pixels], size=pixels.size)[0]
            squares[place].append(square)
            times[place].append(frame.time_s)
        for place, part in self._others.items():
            squares[place].append(self._signal(part, cropped, generator)[0])
            times[place].append(None)
        for clip, own in zip(self.clips, squares, strict=True):
            if not own:
                raise InputError(f"{clip.name}: gives no frame.")
        described = [
            _describe(clip, own, self._sights[clip.kind]) for clip, own in zip(self.clips, times, strict=True)
        ]
        items = _merged(described, max_tokens)
        towers = [self._tower_item(item, own) for item, own in zip(items, squares, strict=True)]
        return EncodedVisuals(items=items, inputs=TowerInputs(items=tuple(towers)))

    def _signal(
        self, part: ImagePart | AudioPart, pixels: CLIPPixelsConfig, generator: torch.Generator | None
    ) -> Tensor:
        """(1, 3, H, W)."""
        if isinstance(part, AudioPart):
            return read_sound(
                part.source,
                self._signals.sound,
                start_s=part.start_s,
                end_s=part.end_s,
                generator=generator,
            )
        if isinstance(part.source, VideoFrame):
            raise InputError(f"a frame of a video shows no {part.modality}; pass a file or numbers.")
        if part.modality == "depth":
            return read_depth(part.source, pixels, max_depth_m=self._signals.max_depth_m)
        return read_heat(part.source, pixels)

    def _tower_item(self, item: VisualItem, squares: Sequence[Tensor]) -> TowerItem:
        window = self._sights[item.kind].window
        return TowerItem(
            modality=item.kind,
            pixel_values=torch.stack([squares[index] for index in fill_windows(len(squares), window)]),
            grid=item.grid_thw[1:],
            merge_size=item.merge_size,
            has_class_token=item.class_tokens > 0,
        )


def kind_of(part: ImagePart | VideoPart | AudioPart) -> Kind:
    """Whose tower sees a part."""
    if isinstance(part, ImagePart):
        return part.modality
    return "video" if isinstance(part, VideoPart) else "audio"


def _describe(clip: Clip, times_s: Sequence[float | None], sight: TowerSight) -> VisualItem:
    """An item whose tokens are not merged yet."""
    seen = fill_windows(len(times_s), sight.window)
    rows, columns = sight.grid
    return VisualItem(
        kind=clip.kind,
        name=clip.name,
        times_s=tuple(times_s[index] for index in seen),
        original_size=(clip.height, clip.width),
        grid_thw=(len(seen), rows, columns),
        merge_size=1,
        tokens_per_frame=(),
        class_tokens=int(sight.has_class_token),
        frames_together=sight.window or 1,
    )


def _merged(items: Sequence[VisualItem], max_tokens: int | None) -> tuple[VisualItem, ...]:
    """Items with the smallest merge size, one for all, that keeps the budget."""
    common = gcd(*(side for item in items for side in item.grid_thw[1:]))
    for merge_size in (size for size in range(1, common + 1) if common % size == 0):
        merged = [replace(item, merge_size=merge_size) for item in items]
        total = sum(item.num_tokens for item in merged)
        if max_tokens is None or total <= max_tokens:
            return tuple(
                replace(item, tokens_per_frame=(item.num_tokens // len(item.times_s),) * len(item.times_s))
                for item in merged
            )
    frames = sum(item.grid_thw[0] for item in items)
    raise OutOfBudgetError(
        f"{frames} images and frames give {total} visual tokens at least, but max_tokens is {max_tokens}. "
        "Take fewer frames, or allow more tokens."
    )
