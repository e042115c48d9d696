"""``kinema doctor``: what a bug report needs to say about a machine."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any, Literal

import typer

from kinema.cli.command import OutputOptions, add_command
from kinema.cli.console import print_json
from kinema.cli.options import NANO

_PACKAGES = ("torch", "numpy", "av", "pillow", "safetensors", "tokenizers", "huggingface_hub", "transformers")
_VIDEO_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "prores")
_AUDIO_CODECS = ("aac", "mp3", "opus", "flac", "vorbis")
_ENCODERS = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "aac", "libopus")


def add_commands(app: typer.Typer) -> None:
    """Add the command of this file to an application."""
    add_command(app, doctor)


def doctor(*, output: OutputOptions) -> None:
    """Report versions, codecs and devices; paste it into a bug report."""
    report = {
        "versions": _versions(),
        "ffmpeg": _ffmpeg(),
        "codecs": _codecs(),
        "devices": _devices(),
        "models": _models(),
    }
    if output.json:
        print_json(report)
        return
    for title, rows in report.items():
        typer.echo(title)
        for name, value in rows.items():
            typer.echo(f"  {name:16} {value if value is not None else 'not there'}")


def _versions() -> dict[str, Any]:
    import kinema

    own = {"kinema": kinema.__version__, "python": platform.python_version(), "os": platform.platform()}
    return {**own, **{name: _version(name) for name in _PACKAGES}}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _ffmpeg() -> dict[str, Any]:
    """Versions of the FFmpeg libraries that PyAV brings."""
    import av

    return {name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}


def _codecs() -> dict[str, Any]:
    return {
        "decode video": _available(_VIDEO_CODECS, "r"),
        "decode audio": _available(_AUDIO_CODECS, "r"),
        "encode": _available(_ENCODERS, "w"),
    }


def _available(names: tuple[str, ...], mode: Literal["r", "w"]) -> str:
    """The codecs that are there, and after them those that are not."""
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    there, missing = [], []
    for name in names:
        try:
            Codec(name, mode)
            there.append(name)
        except UnknownCodecError:
            missing.append(name)
    return ", ".join(there) + (f"; without {', '.join(missing)}" if missing else "")


def _devices() -> dict[str, Any]:
    """The CPU first, then every accelerator that torch can use."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    found: dict[str, Any] = {
        "cpu": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{memory / 1e9:.1f} GB"
    }
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        found[f"cuda:{index}"] = (
            f"{device.name}, {device.total_memory / 1e9:.1f} GB, CUDA {torch.version.cuda}"
        )
    if torch.backends.mps.is_available():
        found["mps"] = f"{torch.mps.recommended_max_memory() / 1e9:.1f} GB"
    return found


def _models() -> dict[str, Any]:
    """What can be used without a download."""
    from huggingface_hub import constants

    from kinema.models.registry import named_models

    cache = Path(constants.HF_HUB_CACHE)
    known = {model.name: model for model in named_models()}
    repositories = dict.fromkeys(model.hub_id for model in known.values())
    cached = [name for name in repositories if (cache / f"models--{name.replace('/', '--')}").is_dir()]
    return {
        NANO: f"{known[NANO].num_parameters:,} parameters" if NANO in known else None,
        "in the hub cache": ", ".join(cached) or "none",
        "hub offline": "yes" if constants.HF_HUB_OFFLINE else "no",
    }
