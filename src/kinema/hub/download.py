"""A hub id or a folder to a local folder. Weights, settings and vocabulary are fetched; code never is."""

import re
from functools import partial
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from kinema.errors import WeightsError

SETTINGS_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "README.md",
)
"""What says all about a checkpoint but its weights."""

CHECKPOINT_FILES = (*SETTINGS_FILES, "*.safetensors", "*.safetensors.index.json")
"""What is fetched of a repository. Python files are not on the list."""

PICKLED_WEIGHTS = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
"""What is fetched besides where there are no safetensors, as of LanguageBind; no code in them is run."""

# The base of all errors of the HTTP package that huggingface_hub uses; a proxy's is not an OSError.
_HTTPError: type[Exception] = HfHubHTTPError.__mro__[1]


def local_folder(
    source: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    token: str | None = None,
    files: tuple[str, ...] = CHECKPOINT_FILES,
) -> Path:
    """The folder that holds a checkpoint, downloaded into the hub's cache where it is not there yet.

    Args:
        source: an existing folder, or a hub id such as ``"DAMO-NLP-SG/VideoLLaMA3-2B"``.
        revision: a branch, tag or commit of the hub's repository.
        cache_dir: where downloads are kept; None for the hub's own cache.
        offline: use the cache only. The environment variable ``HF_HUB_OFFLINE=1`` does the same.
        token: for gated or private repositories; None for the one of ``hf auth login``.
        files: patterns of what to fetch; where ``*.safetensors`` fits none, pickled weights are.

    Raises:
        WeightsError: saying in one line why there is no such folder and what to do.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    hub_id = str(source)
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", hub_id):
        raise WeightsError(f"{hub_id} is neither a folder nor a hub id of the form owner/name.")
    fetch = partial(
        snapshot_download,
        hub_id,
        revision=revision,
        cache_dir=cache_dir,
        local_files_only=offline,
        token=token,
    )
    try:
        folder = Path(fetch(allow_patterns=list(files)))
        if "*.safetensors" in files and not any(folder.glob("*.safetensors")):
            folder = Path(fetch(allow_patterns=[*files, *PICKLED_WEIGHTS]))
        return folder
    except (HfHubHTTPError, _HTTPError, HFValidationError, OSError) as error:
        raise WeightsError(explain(error, hub_id, revision, offline)) from error


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
