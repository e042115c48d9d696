"""What the published recipes need on the command line, where somebody brings data of his own."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kinema.distributed.world import own_device
from kinema.errors import ConfigError, KinemaError
from kinema.inference.load import choose_device
from kinema.training.run import RunConfig

OutDir = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the run; started again, it goes on.")]
Media = Annotated[Path, typer.Option(help="Folder that the paths in records start from.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps; default the best there is.")]
Workers = Annotated[int, typer.Option(help="Processes that read media ahead.")]
Seed = Annotated[int, typer.Option(help="Of what is drawn.")]


SAMPLE_TIMEOUT_S = 120.0
"""Seconds for one sample, beyond which it is left out; frames of an hour of 1080p are read in ten."""


def own_run(out_dir: Path, device: str | None, workers: int, seed: int) -> RunConfig:
    """How a recipe is run here; on a GPU matrix products run in bfloat16."""
    kind = device or choose_device().type
    return RunConfig(
        out_dir=out_dir,
        seed=seed,
        device=own_device(kind),
        precision="bfloat16" if kind.startswith("cuda") else "float32",
        num_workers=workers,
        sample_timeout_s=SAMPLE_TIMEOUT_S,
        log_every=10,
    )


def expect_full_batch(name: str, num_samples: int, batch_size: int) -> None:
    """Raise ``ConfigError`` where a batch would hold samples twice."""
    if num_samples < batch_size:
        raise ConfigError(
            f"stage {name}: {num_samples} samples do not fill a batch of {batch_size}; take a smaller batch, "
            "or more data."
        )


@contextmanager
def shown_run() -> Iterator[None]:
    """Print what the training logs; what goes wrong on purpose is one line and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        yield
    except KinemaError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
