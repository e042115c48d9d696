"""What a question will take, before any work is done, and what to change if that is too much.

Tokens are counted before pruning, which is known only once frames are decoded: there will never be more.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kinema.errors import ConfigError, InputError, OutOfBudgetError
from kinema.inference.memory import Load, Memory, forecast, free_bytes
from kinema.inference.runner import Runner
from kinema.inference.sampling import SamplingConfig
from kinema.media.frames import FrameBatch
from kinema.processors.messages import Conversation, Part, VideoPart
from kinema.processors.visuals import VisualItem

_PARTS = ("weights", "cache", "media", "vision", "prefill", "decode")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A forecast for one question, or for a batch of them."""

    items: tuple[VisualItem, ...]
    """Images and videos as they will be resized, before pruning."""
    prompt_tokens: int
    """Of the longest prompt, visual tokens included."""
    visual_tokens: int
    """Of that prompt."""
    new_tokens: int
    """Longest answer."""
    max_positions: int
    """Prompt and answer that the model can hold."""
    memory: Memory
    free_bytes: int | None
    """What the device can still give, the weights being there already; None where it does not say."""
    device: str
    dtype: str
    remedies: Mapping[str, int] = field(default_factory=dict)
    """Settings of ``ask`` that alone make it fit where it does not, each with its largest value that does."""

    @property
    def problem(self) -> str | None:
        """Why it will not fit; None if it will."""
        if self.prompt_tokens + self.new_tokens > self.max_positions:
            return (
                f"the prompt is {self.prompt_tokens} tokens ({self.visual_tokens} of them visual) and the "
                f"answer up to {self.new_tokens}, but the model holds {self.max_positions} positions"
            )
        if self.free_bytes is not None and self.memory.work > self.free_bytes:
            return (
                f"the work takes {_megabytes(self.memory.work)} beyond the weights, but {self.device} has "
                f"{_megabytes(self.free_bytes)} left"
            )
        return None

    @property
    def advice(self) -> str:
        """What to do where it will not fit."""
        if not self.remedies:
            return "No single setting makes it fit; take a smaller model, or lower several at once."
        return f"It fits with {' or '.join(f'{name}={value}' for name, value in self.remedies.items())}."

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        items = [
            {
                "kind": item.kind,
                "name": item.name,
                "frames": item.grid_thw[0],
                "original_size": list(item.original_size),
                "grid_thw": list(item.grid_thw),
                "tokens": sum(item.tokens_per_frame),
            }
            for item in self.items
        ]
        memory = {name: getattr(self.memory, name) for name in (*_PARTS, "peak")}
        return {
            "items": items,
            "prompt_tokens": self.prompt_tokens,
            "visual_tokens": self.visual_tokens,
            "new_tokens": self.new_tokens,
            "max_positions": self.max_positions,
            "memory_bytes": memory,
            "free_bytes": self.free_bytes,
            "device": self.device,
            "dtype": self.dtype,
            "problem": self.problem,
            "remedies": dict(self.remedies),
        }

    def __str__(self) -> str:
        """A table."""
        lines = [_item_line(item) for item in self.items]
        lines.append(
            f"prompt        {self.prompt_tokens} tokens, {self.visual_tokens} of them visual (before pruning)"
        )
        lines.append(f"answer        up to {self.new_tokens} tokens; the model holds {self.max_positions}")
        lines += [f"{name:13} {_megabytes(getattr(self.memory, name)):>10}" for name in _PARTS]
        lines.append(f"{'peak':13} {_megabytes(self.memory.peak):>10} on {self.device}, {self.dtype}")
        if self.free_bytes is not None:
            lines.append(f"{'free':13} {_megabytes(self.free_bytes):>10} beside the weights")
        lines.append(f"will not fit: {self.problem}. {self.advice}" if self.problem else "fits")
        return "\n".join(lines)


def make_plan(
    runner: Runner,
    conversations: Sequence[Conversation],
    sampling: SamplingConfig,
    *,
    weights_are_loaded: bool = True,
) -> Plan:
    """Forecast what answering will take. Files are looked at; no frame but the first of each is decoded.

    Args:
        runner: what will do the work.
        conversations: answered together.
        sampling: how long the answers can be.
        weights_are_loaded: whether the weights hold their memory already, or have yet to be given it.
    """
    room = free_bytes(runner.device)
    if room is not None and not weights_are_loaded:
        room = max(0, room - runner.weight_bytes)
    plan = _forecast(runner, conversations, sampling, room)
    if plan.problem is None:
        return plan
    return replace(plan, remedies=_find_remedies(runner, conversations, sampling, plan))


def check_plan(runner: Runner, conversations: Sequence[Conversation], sampling: SamplingConfig) -> Plan:
    """A plan that fits.

    Raises:
        OutOfBudgetError: if there is none, naming each setting that alone would make it fit, and its largest
            value that does.
    """
    plan = make_plan(runner, conversations, sampling)
    if plan.problem is not None:
        raise OutOfBudgetError(f"{plan.problem}. {plan.advice}")
    return plan


def _forecast(
    runner: Runner, conversations: Sequence[Conversation], sampling: SamplingConfig, room: int | None
) -> Plan:
    """A plan for a device with ``room`` bytes beside the weights; whether it fits is not looked at."""
    loads = [_load(runner, conversation, sampling) for conversation in conversations]
    longest = max(loads, key=lambda load: load.num_prompt)
    language = runner.network.language_model.config
    return Plan(
        items=tuple(item for load in loads for item in load.items),
        prompt_tokens=longest.num_prompt,
        visual_tokens=longest.num_visual,
        new_tokens=sampling.max_new_tokens,
        max_positions=language.max_positions,
        memory=forecast(
            runner.weight_bytes,
            runner.network.vision_sizes,
            language,
            loads,
            dtype=runner.dtype,
            on_host=runner.device.type == "cpu",
        ),
        free_bytes=room,
        device=str(runner.device),
        dtype=str(runner.dtype).removeprefix("torch."),
    )


def _find_remedies(
    runner: Runner, conversations: Sequence[Conversation], sampling: SamplingConfig, plan: Plan
) -> dict[str, int]:
    """Settings that alone make a plan fit. Every value was planned again and seen to fit."""
    room = plan.free_bytes

    def with_frames(value: int) -> Plan:
        limited = [_limit_frames(conversation, value) for conversation in conversations]
        return _forecast(runner, limited, sampling, room)

    def with_tokens(value: int) -> Plan:
        return _forecast(runner.with_limits(max_tokens=value), conversations, sampling, room)

    def with_answer(value: int) -> Plan:
        return _forecast(runner, conversations, replace(sampling, max_new_tokens=value), room)

    num_frames = max((item.grid_thw[0] for item in plan.items if item.kind == "video"), default=0)
    settings = {
        "max_frames": (with_frames, num_frames if _can_choose_frames(conversations) else 0),
        "max_tokens": (with_tokens, plan.visual_tokens),
        "max_new_tokens": (with_answer, plan.new_tokens),
    }
    found = {name: _largest_that_fits(attempt, now) for name, (attempt, now) in settings.items()}
    return {name: value for name, value in found.items() if value is not None}


def _largest_that_fits(attempt: Callable[[int], Plan], too_much: int) -> int | None:
    """By bisection below a value that does not fit; None if not even 1 is seen to."""
    fits, low, high = None, 0, too_much
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(attempt, middle):
            fits = low = middle
        else:
            high = middle
    return fits


def _fits(attempt: Callable[[int], Plan], value: int) -> bool:
    try:
        return attempt(value).problem is None
    except (ConfigError, InputError, OutOfBudgetError):  # below what the resize rule can do
        return False


def _load(runner: Runner, conversation: Conversation, sampling: SamplingConfig) -> Load:
    items = runner.processor.measure(conversation)
    return Load(
        items=items,
        num_prompt=len(runner.tokenize(conversation, items).ids),
        num_new=sampling.max_new_tokens,
        max_patches=runner.settings.max_patches,
        prefill_chunk=runner.settings.prefill_chunk,
    )


def _limit_frames(conversation: Conversation, max_frames: int) -> Conversation:
    def limited(part: Part) -> Part:
        if isinstance(part, VideoPart) and not isinstance(part.source, FrameBatch):
            return replace(part, max_frames=min(max_frames, part.max_frames or max_frames))
        return part

    messages = [replace(m, parts=tuple(limited(part) for part in m.parts)) for m in conversation.messages]
    return Conversation(messages=tuple(messages))


def _can_choose_frames(conversations: Sequence[Conversation]) -> bool:
    parts = [part for talk in conversations for message in talk.messages for part in message.parts]
    return any(isinstance(part, VideoPart) and not isinstance(part.source, FrameBatch) for part in parts)


def _item_line(item: VisualItem) -> str:
    frames, rows, columns = item.grid_thw
    height, width = item.original_size
    pieces = "windows" if item.kind == "audio" else "frames"
    return (
        f"{item.kind:13} {item.name}: {frames} {pieces} of {height} x {width}, "
        f"as {rows} x {columns} patches, {sum(item.tokens_per_frame)} tokens"
    )


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.0f} MB"
