"""What came out, as a table for docs/results.md and as a plot."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from kinema.optional import require
from kinema.recipes.claims.lab import Outcome, spread

_WITH, _WITHOUT = "#2a9d8f", "#8d99a6"


def as_table(found: Sequence[Outcome]) -> str:
    """A table in Markdown, a claim a row."""
    lines = [
        "| what is said to help | paper | with it | without | difference | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for outcome in found:
        cells = (
            outcome.claim.name,
            outcome.claim.paper,
            spread(outcome.with_it),
            spread(outcome.without),
            spread(outcome.differences, is_difference=True),
            str(len(outcome.differences)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(found: Sequence[Outcome], path: Path) -> None:
    """Draw each claim as a line from the mean without to the mean with it, a small dot a seed.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    pyplot = require("matplotlib.pyplot", "train")
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.42 * len(found)), layout="constrained")
    for place, outcome in enumerate(found):
        sides = {_WITHOUT: outcome.without, _WITH: outcome.with_it}
        means = {colour: 100 * mean(shares) for colour, shares in sides.items()}
        axes.plot(list(means.values()), [place, place], color="#b8c0c8", linewidth=2, zorder=1)
        for colour, shares in sides.items():
            axes.scatter(
                [100 * share for share in shares], [place] * len(shares), s=9, color=colour, alpha=0.6
            )
            axes.scatter(means[colour], place, s=48, color=colour, zorder=2, clip_on=False)
        gained = spread(outcome.differences, is_difference=True)
        axes.text(103, place, gained, va="center", fontsize=9)
    names = [f"{outcome.claim.name}  ({outcome.claim.paper})" for outcome in found]
    axes.set_yticks(range(len(found)), names, fontsize=9)
    axes.set(xlim=(0, 100), ylim=(len(found) - 0.5, -0.5), xlabel="%; beside each line the points gained")
    for colour, label in ((_WITH, "with it"), (_WITHOUT, "without")):
        axes.scatter([], [], s=48, color=colour, label=label)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    axes.grid(axis="x", color="#eceff1")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
