"""``kinema data check``: whether every row of a file can be learned from."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kinema.cli.command import OutputOptions
from kinema.cli.console import counter, note, print_json
from kinema.cli.own_data import File, ProcessorOptions, RowOptions, load_processor, own_records
from kinema.errors import ConfigError

if TYPE_CHECKING:
    from kinema.datasets.check import Report, TokenBudget

BAD_ROWS = 1
"""Exit code where some row is bad."""


def check(
    file: File,
    *,
    rows: RowOptions,
    model: ProcessorOptions,
    max_tokens: Annotated[
        int | None, typer.Option(help="Most tokens of a sample; default what the model of --model holds.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes; default one a processor.")] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Longest for one row.")] = 60.0,
    examples: Annotated[int, typer.Option(help="Rows of each reason that are told.")] = 3,
    clean: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the good rows to a file of the same kind.")
    ] = None,
    output: OutputOptions,
) -> None:
    """Check every row: form, tags, answers, files, times, length, duplicates.

    Of each video the first and the last frame are decoded, and some sound. Length is checked where --model
    names a model. The exit code is 1 if a row is bad, 2 if the command cannot be understood, 6 if FILE holds
    no rows.
    """
    from kinema.datasets.check import check_records
    from kinema.datasets.fault import Fault

    records = own_records(file, rows)
    if clean is not None:
        records.expect_target(clean)
    budget = _budget(model, max_tokens)
    with counter("checking") as progress:
        report = check_records(
            records,
            budget=budget,
            jobs=(os.cpu_count() or 1) if jobs is None else jobs,
            timeout_s=timeout,
            num_examples=examples,
            progress=progress,
        )
    if clean is not None:
        records.write(report.good, clean)
        if rows.media is None and clean.resolve().parent != Path(file).resolve().parent:
            note(f"paths in {clean} still start from {Path(file).resolve().parent}: name it with --media.")
    if output.json:
        print_json(_document(file, report, clean))
    else:
        _print_table(file, report, clean)
    if rows.media is None and Fault.MISSING in report.counts:
        note(f"paths in {file} start from the folder that it lies in; --media names another one.")
    if report.num_bad:
        raise typer.Exit(BAD_ROWS)


def _budget(model: ProcessorOptions, max_tokens: int | None) -> "TokenBudget | None":
    from kinema.datasets.check import TokenBudget

    if model.model is None:
        if max_tokens is not None:
            raise ConfigError("--max-tokens counts the tokens of a model; name one with --model.")
        return None
    outline = load_processor(model.model, model)
    held = outline.model.language_model.config.max_positions
    return TokenBudget(processor=outline.processor, max_tokens=max_tokens or held)


def _document(file: str, report: "Report", clean: Path | None) -> dict[str, Any]:
    reasons = {
        str(fault): {
            "rows": count,
            "examples": [{"row": row, "why": why} for row, why in report.examples[fault]],
        }
        for fault, count in report.counts.items()
    }
    return {
        "file": file,
        "rows": report.num_rows,
        "bad": report.num_bad,
        "reasons": reasons,
        "clean": None if clean is None else str(clean),
    }


def _print_table(file: str, report: "Report", clean: Path | None) -> None:
    console = Console()
    if report.num_bad:
        table = Table("reason", "rows", "row", "why", box=None, pad_edge=False, header_style="bold")
        for fault, count in report.counts.items():
            for number, (row, why) in enumerate(report.examples[fault]):
                first = (str(fault), f"{count:,}") if number == 0 else ("", "")
                table.add_row(*map(Text, (*first, str(row), " ".join(why.split()))))
        console.print(table)
    bad = f"{report.num_bad:,} of {report.num_rows:,} rows are bad" if report.num_bad else "all are good"
    typer.echo(f"{file}: {bad}" if report.num_bad else f"{file}: {report.num_rows:,} rows, {bad}")
    if clean is not None:
        typer.echo(f"{clean}: {len(report.good):,} rows")
