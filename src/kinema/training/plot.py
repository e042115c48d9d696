"""The losses of a run as a picture: one stage after the other, what the log says and its trend."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from kinema.optional import require

_HALF_LIFE = 0.03
"""Share of a stage over which the trend forgets half of what was."""


def plot_losses(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the losses of a log as PNG; the stages' steps are counted on, and a line stands between them.

    Args:
        lines: of the log, in order.
        path: replaced when the picture is whole.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    figure = require("matplotlib.figure", "train").Figure(figsize=(9, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    first, losses = 0, list[float]()
    for number, (name, group) in enumerate(groupby(lines, key=lambda line: line["stage"])):
        stage = [line for line in group if line["loss"] is not None]
        if not stage:
            continue
        steps = [first + line["step"] for line in stage]
        values = [line["loss"] for line in stage]
        colour = f"C{number % 10}"
        axes.plot(steps, values, color=colour, alpha=0.3, linewidth=1)
        smooth = trend(values)
        marker = "o" if len(steps) == 1 else None  # a line through one point is not seen
        axes.plot(steps, smooth, color=colour, linewidth=2, marker=marker, label=f"{name}: {smooth[-1]:.3f}")
        if first:
            axes.axvline(first, color="0.6", linewidth=0.8, linestyle=":")
        first, losses = steps[-1], losses + values
    if losses and min(losses) > 0 and max(losses) / min(losses) > 20:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(require("matplotlib.ticker", "train").LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter("{x:g}")
    axes.set(xlabel="step", ylabel="loss")
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    if losses:
        axes.legend(frameon=False, title="latest")
    unfinished = path.with_suffix(".partial.png")
    figure.savefig(unfinished)
    unfinished.replace(path)


def trend(values: Sequence[float]) -> list[float]:
    """Exponential mean, of which the first values are not held down by a zero before them."""
    keep = 0.5 ** (1 / max(1.0, _HALF_LIFE * len(values)))
    mean, weight, smooth = 0.0, 0.0, []
    for value in values:
        mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        smooth.append(mean / weight)
    return smooth
