"""How many bytes a model holds while it works: formulas for a forecast, and what a device has left.

The formulas count the tensors that are alive at the fullest moment of each part of the work, as the code
stands in ``modules.vision.navit``, ``modules.language.decoder``, ``models.fusion`` and
``processors.visuals``; sizes of an encoder say themselves what its positions take where that is much. What
they leave out is small: other positions, statistics of norms, scratch space of matrix products.
P patches, M visual tokens of which K are kept, N prompt positions, D hidden size, I intermediate size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kinema.inference.cache import cache_bytes
from kinema.inference.protocols import PositionedSizes, VisionSizes
from kinema.models.footprint import decoder_moments, encoder_moments
from kinema.modules.language.decoder import DecoderConfig
from kinema.processors.visuals import VisualItem

_FLOAT = 4
_COMPILED = 24 << 20
"""Code that oneDNN makes on a CPU for the products of one question, see ``modules.linear``; measured."""
_GIVEN_BACK = 32 << 20
"""Size from which glibc gives every block that is freed back to the system (mallopt(3))."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A forecast in bytes. The parts of the work follow one another, so only the largest of them counts."""

    weights: int
    cache: int
    """Keys and values, from the prompt's first position to the answer's last."""
    media: int
    """While frames are read, resized and cut into patches; always on the host."""
    vision: int
    """While the vision encoder works and its features are put between the text."""
    prefill: int
    """While the prompt is read, without the cache."""
    decode: int
    """While the answer is written, without the cache."""
    on_host: bool
    """Whether the model works where the frames are."""

    @property
    def work(self) -> int:
        """Most bytes beyond the weights, on the model's device."""
        parts = [self.vision, self.prefill + self.cache, self.decode + self.cache]
        return max([*parts, self.media] if self.on_host else parts)

    @property
    def peak(self) -> int:
        """Most bytes on the model's device."""
        return self.weights + self.work


@dataclass(frozen=True, kw_only=True)
class Load:
    """The size of one piece of work."""

    items: Sequence[VisualItem]
    num_prompt: int
    """Positions of the prompt."""
    num_new: int
    """Positions of the answer, at most."""
    max_patches: int
    prefill_chunk: int

    @property
    def num_patches(self) -> int:
        """Of all items."""
        return sum(math.prod(item.grid_thw) for item in self.items)

    @property
    def num_visual(self) -> int:
        """Visual tokens before pruning."""
        return sum(item.num_tokens for item in self.items)

    @property
    def largest_part(self) -> int:
        """Patches that the encoder takes at once."""
        return min(self.num_patches, max(self.max_patches, self.largest_view))

    @property
    def largest_view(self) -> int:
        """Patches that the encoder cannot take apart."""
        return max((item.frames_together * math.prod(item.grid_thw[1:]) for item in self.items), default=0)


def forecast(
    weights: int,
    vision: VisionSizes,
    language: DecoderConfig,
    loads: Sequence[Load],
    *,
    dtype: torch.dtype,
    on_host: bool,
) -> Memory:
    """Bytes for a batch: its rows are encoded and read one after the other, and written together."""
    embeds = sum(load.num_prompt for load in loads) * language.hidden_size * dtype.itemsize
    longest = max(load.num_prompt + load.num_new for load in loads)
    always = embeds + (_COMPILED if on_host and dtype == torch.float32 else 0)
    return Memory(
        weights=weights,
        cache=len(loads) * cache_bytes(language, longest, dtype),
        media=max(_media_bytes(load, vision) for load in loads),
        vision=always + max(_vision_bytes(load, vision, language, dtype, on_host) for load in loads),
        prefill=always + max(_prefill_bytes(load, language, dtype) for load in loads),
        decode=len(loads) * _decode_bytes(language),
        on_host=on_host,
    )


def free_bytes(device: torch.device) -> int | None:
    """What can still be taken on a device; None where it does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return _free_on_host()


def _media_bytes(load: Load, vision: VisionSizes) -> int:
    """Originals, one a thread and twice as they are stacked; clips resized, as patches, and as floats."""
    if not load.items:
        return 0
    at_once = torch.get_num_threads()
    original = max(min(at_once, item.grid_thw[0]) * 3 * math.prod(item.original_size) for item in load.items)
    values = 3 * vision.patch_size**2
    resized = sum(math.prod(item.grid_thw) for item in load.items) * values
    largest = max(math.prod(item.grid_thw) for item in load.items) * values
    floats = _FLOAT * resized * (2 if len(load.items) > 1 else 1)
    return max(2 * original + resized, resized + largest + floats)


def _vision_bytes(
    load: Load, vision: VisionSizes, language: DecoderConfig, dtype: torch.dtype, on_host: bool
) -> int:
    """Pixels, and beside them attention, the MLP, joining of parts, the connector and placing, one by one."""
    values = 3 * vision.patch_size**2
    pixels = load.num_patches * values * dtype.itemsize
    if on_host and dtype.itemsize < _FLOAT:
        pixels += load.num_patches * values * _FLOAT
    rotation = load.largest_part * 3 * (vision.head_dim // 2) * _FLOAT
    layer = encoder_moments(vision, load.largest_part)
    features = load.num_visual * vision.hidden_size * dtype.itemsize
    visual = load.num_visual * language.hidden_size * dtype.itemsize
    prompt = load.num_prompt * language.hidden_size * dtype.itemsize
    moments = [
        *([features, *(count * dtype.itemsize for count in blocks)] for blocks in layer),
        [features, features],
        [features, features, visual, visual],
        [visual, prompt],
    ]
    if load.items and isinstance(vision, PositionedSizes):
        positions = vision.position_moments(load.largest_part, load.largest_view)
        moments += [[features, *(count * dtype.itemsize for count in blocks)] for blocks in positions]
    return pixels + rotation + _held(moments, on_host)


def _held(moments: Sequence[Sequence[int]], on_host: bool) -> int:
    """Bytes taken over moments that follow one another, each given by its blocks.

    On a host the allocator gives large blocks back at once, but keeps small ones when they are freed. So the
    most that large ones take comes on top of the most that small ones ever took, at whatever moment.
    """
    if not on_host:
        return max(map(sum, moments))
    small = max(sum(block for block in moment if block < _GIVEN_BACK) for moment in moments)
    large = max(sum(block for block in moment if block >= _GIVEN_BACK) for moment in moments)
    return small + large


def _prefill_bytes(load: Load, language: DecoderConfig, dtype: torch.dtype) -> int:
    """The MLP of one chunk, or its attention with a mask, beside the prompt's embeddings."""
    chunk = min(load.prefill_chunk, load.num_prompt)
    attention, mlp = (sum(blocks) * dtype.itemsize for blocks in decoder_moments(language, chunk))
    mask = _largest_mask(load.num_prompt, chunk)
    return mask + max(mlp, attention + mask * dtype.itemsize)  # true or false, and in the kernel as numbers


def _largest_mask(num_prompt: int, chunk: int) -> int:
    """Entries of a chunk's mask over itself and all before it; the first chunk needs none."""
    num_full, rest = divmod(num_prompt, chunk)
    return max(chunk * num_full * chunk if num_full > 1 else 0, rest * num_prompt)


def _decode_bytes(language: DecoderConfig) -> int:
    """Logits, sorted and as probabilities."""
    return 6 * language.vocab_size * _FLOAT


def _free_on_host() -> int | None:
    """What the system calls available, or what the container's limit leaves, if that is less."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and limit.read_text().strip() != "max":
        available = min(available, int(limit.read_text()) - int(used.read_text()))
    return available
