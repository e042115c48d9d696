"""A hub id to a local folder, or a file. Weights, settings and vocabulary are fetched; code never is."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from kinema.errors import WeightsError
from kinema.hub.files import WEIGHT_SUFFIXES

SETTINGS_FILES = (
    "config.json",
    "adapter_config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "README.md",
)
"""What says all about a checkpoint but its weights."""

CHECKPOINT_FILES = (*SETTINGS_FILES, "*.safetensors", "*.safetensors.index.json")
"""What is fetched of a repository. Python files are not on the list."""

PICKLED_WEIGHTS = (
    "pytorch_model*.bin",
    "pytorch_model.bin.index.json",
    "adapter_model.bin",
    "non_lora_trainables.bin",
)
"""What is fetched besides where there are no safetensors, as of LanguageBind; no code in them is run."""

_HUB_SOURCE = re.compile(r"(?P<id>[\w-][\w.-]*/[\w-][\w.-]*)(/(?P<file>[\w./-]+\.(safetensors|bin|pt|pth)))?")
"""A hub id, and perhaps a file of its repository."""

# The base of all errors of the HTTP package that huggingface_hub uses; a proxy's is not an OSError.
_HTTPError: type[Exception] = HfHubHTTPError.__mro__[1]


def local_checkpoint(
    source: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    token: str | None = None,
    files: tuple[str, ...] = CHECKPOINT_FILES,
) -> Path:
    """The folder or file that holds a checkpoint, fetched into the hub's cache where it is not there yet.

    Args:
        source: an existing folder or file of weights; a hub id such as ``"DAMO-NLP-SG/VideoLLaMA3-2B"``; or
            one with a file of its repository behind it, ``"owner/name/folder/weights.pth"``.
        revision: a branch, tag or commit of the hub's repository.
        cache_dir: where downloads are kept; None for the hub's own cache.
        offline: use the cache only. The environment variable ``HF_HUB_OFFLINE=1`` does the same.
        token: for gated or private repositories; None for the one of ``hf auth login``.
        files: patterns of what to fetch; where ``*.safetensors`` fits none, pickled weights are, and where
            those have no usual name either, the only file of weights there is.

    Raises:
        WeightsError: saying in one line why there is no such checkpoint and what to do.
    """
    path = Path(source).expanduser()
    if path.exists():
        return path
    parts = _HUB_SOURCE.fullmatch(str(source))
    if path.suffix in WEIGHT_SUFFIXES and (parts is None or parts["file"] is None):
        raise WeightsError(f"{source}: there is no such file. One on the hub is named owner/name/file.")
    if parts is None:
        raise WeightsError(f"{source} is neither a folder nor a hub id of the form owner/name.")
    hub_id, file = parts["id"], parts["file"]
    fetch = partial(
        snapshot_download,
        hub_id,
        revision=revision,
        cache_dir=cache_dir,
        local_files_only=offline,
        token=token,
    )
    try:
        if file is not None:
            return _fetched_file(fetch, hub_id, file)
        folder = Path(fetch(allow_patterns=list(files)))
        if "*.safetensors" not in files or any(folder.glob("*.safetensors")):
            return folder
        folder = Path(fetch(allow_patterns=[*files, *PICKLED_WEIGHTS]))
        has_weights = any(path.suffix in WEIGHT_SUFFIXES for path in folder.iterdir())
        if has_weights or offline or _is_offline_mode():
            return folder
        names = HfApi().list_repo_files(hub_id, revision=revision, token=token)
        return _fetched_file(fetch, hub_id, only_weights(hub_id, names))
    except (HfHubHTTPError, _HTTPError, HFValidationError, OSError) as error:
        raise WeightsError(explain(error, hub_id, revision, offline)) from error


def only_weights(hub_id: str, names: list[str]) -> str:
    """The one file of weights among the files of a repository.

    Raises:
        WeightsError: if there is none, or several, of which one must be named.
    """
    weights = sorted(name for name in names if name.endswith(WEIGHT_SUFFIXES))
    if len(weights) == 1:
        return weights[0]
    if not weights:
        raise WeightsError(f"{hub_id} holds no weights; it holds {', '.join(sorted(names)) or 'nothing'}.")
    shown = ", ".join(weights[:6]) + (f" and {len(weights) - 6} more" if len(weights) > 6 else "")
    raise WeightsError(
        f"{hub_id} holds {len(weights)} files of weights, {shown}; name one, such as '{hub_id}/{weights[0]}'."
    )


def _fetched_file(fetch: Callable[..., str], hub_id: str, name: str) -> Path:
    """One file of weights, with whatever settings its repository has."""
    path = Path(fetch(allow_patterns=[*SETTINGS_FILES, name])) / name
    if not path.is_file():
        raise WeightsError(f"{hub_id}/{name} is no file here, and {hub_id} on the hub gave no such file.")
    return path


def explain(error: Exception, hub_id: str, revision: str | None, offline: bool) -> str:
    """One line: what went wrong, and the next move."""
    if isinstance(error, GatedRepoError):
        return f"{hub_id} is gated: accept its terms on its page, then run 'hf auth login' or pass a token."
    if isinstance(error, RevisionNotFoundError):
        return f"{hub_id} has no revision {revision!r}; leave it out for the newest."
    if isinstance(error, RepositoryNotFoundError):
        return f"{hub_id} is not on the hub, or is private: check the spelling, or pass a token for it."
    if isinstance(error, LocalEntryNotFoundError):
        what = f"{hub_id} (revision {revision or 'main'}) is not wholly in the local cache"
        if offline or _is_offline_mode():
            return f"{what}, and offline is set: load it once with a network, or pass the path of a folder."
        return f"{what}, and the hub cannot be reached: check the network, or pass the path of a folder."
    reason = next(iter(str(error).splitlines()), "no more is known")
    return f"{hub_id} could not be fetched ({type(error).__name__}: {reason}); try again."


def _is_offline_mode() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)
