"""What came out, as a table for docs/results.md and as a plot."""

from collections.abc import Sequence
from pathlib import Path

from kinema.optional import require
from kinema.recipes.claims.lab import Outcome, spread


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
    """Draw the differences in points, a dot a seed and a bar for their mean.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    pyplot = require("matplotlib.pyplot", "train")
    figure, axes = pyplot.subplots(figsize=(8, 0.8 + 0.45 * len(found)), layout="constrained")
    places = range(len(found))
    means = [100 * sum(outcome.differences) / len(outcome.differences) for outcome in found]
    colours = ["#2a9d8f" if value > 0 else "#e76f51" for value in means]
    axes.barh(places, means, color=colours, alpha=0.6)
    for place, outcome in zip(places, found, strict=True):
        points = [100 * value for value in outcome.differences]
        axes.plot(points, [place] * len(points), "o", color="#264653", markersize=4)
    axes.axvline(0, color="#264653", linewidth=0.8)
    axes.set_yticks(list(places), [outcome.claim.name for outcome in found])
    axes.invert_yaxis()
    axes.set_xlabel("points gained; a dot is a seed, the bar their mean")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
