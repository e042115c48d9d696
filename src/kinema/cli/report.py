"""What a model saw and what that took, as JSON and as one line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinema.inference.usage import Usage
    from kinema.processors.visuals import VisualItem


def describe_usage(usage: "Usage") -> dict[str, Any]:
    """The entries ``media`` and ``usage`` of a JSON document."""
    return {
        "media": [describe_item(item) for item in usage.items],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "visual_tokens": usage.visual_tokens,
            "kept_tokens": usage.kept_tokens,
            "new_tokens": usage.new_tokens,
            "cache_bytes": usage.cache_bytes,
            "seconds": {part: round(seconds, 4) for part, seconds in usage.seconds.items()},
        },
    }


def describe_item(item: "VisualItem") -> dict[str, Any]:
    """One image or video: which frames of it, how large, how many tokens."""
    return {
        "name": item.name,
        "kind": item.kind,
        "original_size": list(item.original_size),
        "tokens": item.num_tokens,
        "frames": _frames(item),
    }


def _frames(item: "VisualItem") -> list[dict[str, Any]]:
    """Times and kept tokens; no tokens where they stand for all frames together."""
    if item.fixed_tokens is not None:
        return [{"time_s": time_s} for time_s in item.times_s]
    pairs = zip(item.times_s, item.tokens_per_frame, strict=True)
    return [{"time_s": time_s, "kept_tokens": kept} for time_s, kept in pairs]


def summarise(usage: "Usage") -> str:
    """One line for people."""
    frames = sum(item.grid_thw[0] for item in usage.items)
    parts = []
    if frames:
        parts.append(f"{frames} frame{'s' if frames != 1 else ''}")
        parts.append(f"{usage.kept_tokens} of {usage.visual_tokens} visual tokens kept")
    if usage.new_tokens:
        parts.append(f"{usage.new_tokens} tokens written")
    return ", ".join([*parts, f"{sum(usage.seconds.values()):.1f} s"])
