"""``kinema train``: carry out a recipe, or see first what it would take."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from kinema.cli.command import OutputOptions, add_command
from kinema.cli.console import note, print_json
from kinema.cli.options import parts_of
from kinema.errors import ConfigError

if TYPE_CHECKING:
    from kinema.recipes.plan import PlannedStage
    from kinema.recipes.recipe import Recipe, Request
    from kinema.training.run import RunConfig
    from kinema.training.stage import Stage


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this file to an application."""
    add_command(app, train)


def _option(*names: str, help: str, panel: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **settings)


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """What a run starts from."""

    model: Annotated[
        str | None,
        _option("--model", "-m", help="A whole model to go on from: nano, hub id or folder.", panel="Start"),
    ] = None
    part: Annotated[
        list[str] | None,
        _option(
            "--part",
            metavar="NAME=SOURCE",
            help="A part to start from instead, such as language=Qwen/Qwen2.5-7B-Instruct; can be repeated.",
            panel="Start",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What a run learns from."""

    data: Annotated[
        list[str] | None,
        _option(
            "--data",
            metavar="[STAGE=]FILE",
            help="Records of a stage; can be repeated. Stages without are left out.",
            panel="Data",
        ),
    ] = None
    media: Annotated[
        str | None,
        _option(
            "--media", metavar="DIR", help="Where paths in records start; default beside FILE.", panel="Data"
        ),
    ] = None
    epochs: Annotated[
        float | None, _option("--epochs", help="How often the data are seen.", panel="Data")
    ] = None
    batch_size: Annotated[
        int | None,
        _option("--batch-size", help="Samples a step, of all processes together.", panel="Data"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class HowOptions:
    """How a run is run."""

    lora: Annotated[
        bool, _option("--lora", help="The language model learns low-rank updates alone.", panel="Run")
    ] = False
    qlora: Annotated[
        bool, _option("--qlora", help="As --lora, and the weights beside them lie in 4 bits.", panel="Run")
    ] = False
    set: Annotated[
        list[str] | None,
        _option(
            "--set",
            metavar="PATH=VALUE",
            help="Change a setting, such as stage.tune.learning_rates.connector=1e-5 or "
            "run.save_every=100; can be repeated.",
            panel="Run",
        ),
    ] = None
    device: Annotated[
        str | None, _option("--device", help="cpu, cuda or mps; default the best.", panel="Run")
    ] = None
    at_once: Annotated[
        int | None,
        _option("--at-once", help="Samples that go through the model together.", panel="Run"),
    ] = None
    workers: Annotated[
        int | None, _option("--workers", help="Processes that read media ahead.", panel="Run")
    ] = None
    seed: Annotated[int | None, _option("--seed", help="Of what is drawn.", panel="Run")] = None
    dry_run: Annotated[
        bool,
        _option(
            "--dry-run",
            help="Show stages, data, a sample and the memory it takes; train nothing.",
            panel="Run",
        ),
    ] = False


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE", help="A recipe, or the run.yaml of a run; without it, the list of recipes."
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Folder of the run, default runs/RECIPE; run again to go on."
        ),
    ] = None,
    start: StartOptions,
    data: DataOptions,
    how: HowOptions,
    output: OutputOptions,
) -> None:
    """Train a model by a recipe. A run that was stopped goes on when it is started again."""
    from kinema.recipes.registry import find_recipe

    if recipe is None:
        _print_recipes(is_json=output.json)
        return
    if recipe.endswith((".yaml", ".yml")):
        found, request, stages, run = _again(Path(recipe), start, data, how, out)
    else:
        found = find_recipe(recipe)
        request = _request(found, start, data, how)
        stages = found.stages(request)
        run = _run(found, out or Path("runs") / found.name, how, request)
    stages, run = _with_changes(stages, run, how.set or [])
    if how.dry_run:
        _show_plan(found, request, stages, run, is_json=output.json)
        return
    _carry_out(found, request, stages, run, is_json=output.json)


def _print_recipes(*, is_json: bool) -> None:
    from kinema.recipes.registry import TWINS, find_recipe, recipe_names, twin_command

    recipes = [find_recipe(name) for name in recipe_names()]
    if is_json:
        twins = [{"command": twin_command(name), "summary": what} for name, what in TWINS.items()]
        listed = [{"name": r.name, "summary": r.summary, "stages": list(r.data)} for r in recipes]
        print_json({"recipes": listed, "twins": twins})
        return
    table = Table("recipe", "what it trains", "stages", box=None, pad_edge=False)
    for entry in recipes:
        table.add_row(entry.name, entry.summary, ", ".join(entry.data))
    Console().print(table)
    typer.echo("\nfrom nothing, on the toybox:")
    for name, what in TWINS.items():
        typer.echo(f"{twin_command(name)}\n    {what}")


def _request(found: "Recipe", start: StartOptions, data: DataOptions, how: HowOptions) -> "Request":
    from kinema.recipes.recipe import Request

    return Request(
        data=_files(found, data.data or []),
        media=data.media,
        model=start.model,
        parts=parts_of(start.part),
        batch_size=data.batch_size,
        epochs=data.epochs,
        lora=how.lora or how.qlora,
        base_bits=4 if how.qlora else None,
        half_base=(how.lora or how.qlora) and _device(how, has_data=bool(data.data)).startswith("cuda"),
        seed=42 if how.seed is None else how.seed,
    )


def _files(found: "Recipe", given: list[str]) -> dict[str, tuple[str, ...]]:
    """Files by stage; one that names no stage belongs to the only one there is."""
    files: dict[str, tuple[str, ...]] = {}
    for text in given:
        stage, _, name = text.partition("=")
        if not name or Path(text).exists():
            if len(found.data) > 1:
                raise ConfigError(
                    f"--data {text}: {found.name} has several stages; say for which it is, such as "
                    f"--data {next(iter(found.data))}={text}. The stages are {', '.join(found.data)}."
                )
            stage, name = next(iter(found.data)), text
        files[stage] = (*files.get(stage, ()), name)
    return files


def _changes(given: list[str]) -> dict[str, str]:
    changes = {}
    for text in given:
        path, equals, value = text.partition("=")
        if not (path and equals):
            raise ConfigError(f"--set takes PATH=VALUE, got {text!r}.")
        changes[path] = value
    return changes


def _device(how: HowOptions, *, has_data: bool) -> str:
    """The best there is, unless it is said; a plan of what was published is one for GPUs."""
    from kinema.inference.load import choose_device

    return how.device or ("cuda" if how.dry_run and not has_data else choose_device().type)


def _run(found: "Recipe", out: Path, how: HowOptions, request: "Request") -> "RunConfig":
    from kinema.recipes.carry_out import run_here

    device = _device(how, has_data=bool(request.data))
    run = run_here(out, device, 2 if how.workers is None else how.workers, request.seed)
    if run.device.startswith("cuda"):
        run = replace(run, **found.on_gpus)
        run = run if request.base_bits is None else replace(run, shard=())  # what is packed is never spread
    return run if how.at_once is None else replace(run, max_samples_at_once=how.at_once)


def _again(
    path: Path, start: StartOptions, data: DataOptions, how: HowOptions, out: Path | None
) -> "tuple[Recipe, Request, list[Stage], RunConfig]":
    """A run as its file has it, into the folder of the file or another one."""
    from kinema.recipes.registry import find_recipe
    from kinema.recipes.run_file import RunFile
    from kinema.recipes.settings import restored

    if start != StartOptions() or data != DataOptions() or how.lora or how.qlora or how.seed is not None:
        raise ConfigError(
            f"{path} says what the run starts from and learns from; edit it, or change settings with --set."
        )
    file = RunFile.read(path)
    found = find_recipe(file.recipe)
    run = restored(_run(found, path.parent, how, file.request), dict(file.run), "run")
    named: dict[str, Any] = {
        "device": how.device,
        "num_workers": how.workers,
        "max_samples_at_once": how.at_once,
    }
    run = replace(run, out_dir=out or path.parent, **{k: v for k, v in named.items() if v is not None})
    return found, file.request, file.stages_of(found), run


def _with_changes(
    stages: "list[Stage]", run: "RunConfig", given: list[str]
) -> "tuple[list[Stage], RunConfig]":
    from kinema.recipes.settings import changed

    @dataclass(frozen=True)
    class Settings:
        stage: dict[str, Any]
        run: Any

    settings = Settings({stage.name: stage for stage in stages}, run)
    for path, value in _changes(given).items():
        settings = changed(settings, path, value)
    return list(settings.stage.values()), settings.run


def _show_plan(
    found: "Recipe", request: "Request", stages: "list[Stage]", run: "RunConfig", *, is_json: bool
) -> None:
    from kinema.recipes.plan import plan_run

    plan = plan_run(found, request, stages, run)
    if is_json:
        print_json(plan.to_dict())
        return
    console = Console()
    console.print(f"{plan.recipe}: {plan.num_parameters:,} parameters, into {run.out_dir}")
    for stage in plan.stages:
        console.print(f"\n[bold]{stage.name}[/bold]: {stage.num_steps:,} steps of {stage.batch_size} samples")
        _print_parts(console, stage, plan.num_parameters)
        _print_sources(console, stage)
        if stage.memory is not None:
            console.print(f"memory a device, {run.precision}:", style="bold")
            typer.echo(stage.memory)
    if plan.left_out:
        typer.echo(f"\nleft out, for want of data: {', '.join(plan.left_out)}")
    if all(stage.memory is None for stage in plan.stages):
        typer.echo("\nmemory is not forecast for this recipe")
    if plan.twin is not None:
        typer.echo(f"\nthe like at nano size: {plan.twin}")
    _print_first_sample(found, request, stages[0])


def _print_parts(console: Console, stage: "PlannedStage", num_parameters: int) -> None:
    table = Table("learns", "rate", "parameters", "share", box=None, padding=(0, 2, 0, 0))
    for part in stage.parts:
        share = part.num_parameters / num_parameters
        table.add_row(part.name, f"{part.rate:g}", f"{part.num_parameters:,}", f"{share:.1%}")
    console.print(table)


def _print_sources(console: Console, stage: "PlannedStage") -> None:
    last = ["not public"] if any(source.not_public for source in stage.sources) else []
    table = Table("from", "samples", "share", *last, box=None, padding=(0, 2, 0, 0))
    for source in stage.sources:
        count = "endless" if source.num_samples is None else f"{source.num_samples:,}"
        hidden = [", ".join(source.not_public)] if last else []
        table.add_row(source.what, count, f"{source.share:.1%}", *hidden)
    console.print(table)


def _print_first_sample(found: "Recipe", request: "Request", stage: "Stage") -> None:
    from kinema.cli.data_show import print_sample, runs_of
    from kinema.recipes.plan import first_sample

    sample = first_sample(found, request, stage)
    if sample is None:
        if _learns_to_write(stage):
            typer.echo("\nto see a sample, bring --data and --model")
        return
    prepared, processor = sample
    typer.echo(f"\nthe first sample of {stage.name}:")
    print_sample(prepared, runs_of(prepared.sample, processor.tokenizer))


def _carry_out(
    found: "Recipe", request: "Request", stages: "list[Stage]", run: "RunConfig", *, is_json: bool
) -> None:
    import logging

    from kinema.recipes.carry_out import carry_out

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = carry_out(found, request, stages, run)
    if is_json:
        print_json({"model": str(folder), "run": str(run.out_dir)})
        return
    typer.echo(folder)
    if _learns_to_write(stages[-1]):
        note(f"ask it: kinema ask VIDEO QUESTION --model {folder}")


def _learns_to_write(stage: "Stage") -> bool:
    from kinema.training.losses import NextToken

    return isinstance(stage.loss, NextToken)
