from pathlib import Path

import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from kinema.errors import WeightsError
from kinema.hub.download import CHECKPOINT_FILES, PICKLED_WEIGHTS, explain, local_checkpoint

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached_snapshot(cache: Path) -> Path:
    """The cache as the hub's client lays it out after a download."""
    repository = cache / "models--lab--model"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return snapshot


def test_a_folder_is_taken_as_it_is(tmp_path):
    assert local_checkpoint(tmp_path) == tmp_path
    assert local_checkpoint(str(tmp_path)) == tmp_path


def test_a_file_is_taken_as_it_is(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"")
    assert local_checkpoint(tmp_path / "weights.pt") == tmp_path / "weights.pt"


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_offline_finds_what_was_downloaded_before(tmp_path, revision):
    snapshot = cached_snapshot(tmp_path)
    assert local_checkpoint("lab/model", revision=revision, cache_dir=tmp_path, offline=True) == snapshot


def test_offline_without_a_download_says_so_in_one_line(tmp_path):
    with pytest.raises(WeightsError, match=r"lab/other \(revision main\) .* offline is set") as caught:
        local_checkpoint("lab/other", cache_dir=tmp_path, offline=True)
    assert "\n" not in str(caught.value)


def test_offline_knows_no_other_revision(tmp_path):
    cached_snapshot(tmp_path)
    with pytest.raises(WeightsError, match=r"lab/model \(revision v2\) .* offline is set"):
        local_checkpoint("lab/model", revision="v2", cache_dir=tmp_path, offline=True)


@pytest.mark.parametrize("source", ["no-such-folder", "./models/mine", "/models/mine", "a/b/c", "../mine"])
def test_what_is_neither_a_folder_nor_a_hub_id_is_refused(source):
    with pytest.raises(WeightsError, match="neither a folder nor a hub id"):
        local_checkpoint(source)


@pytest.mark.parametrize("source", ["clip.pth", "weights/clip.pth", "/weights/clip.safetensors"])
def test_a_file_that_is_not_there_is_not_taken_for_a_hub_id(source):
    with pytest.raises(WeightsError, match=f"{source}: there is no such file"):
        local_checkpoint(source)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (GatedRepoError, "accept its terms"),
        (RepositoryNotFoundError, "check the spelling"),
        (RevisionNotFoundError, "has no revision 'v9'"),
        (OSError, "could not be fetched"),
    ],
)
def test_each_refusal_of_the_hub_has_its_own_advice(kind, advice):
    error = kind.__new__(kind)
    message = explain(error, "lab/model", "v9", offline=False)
    assert message.startswith("lab/model ")
    assert advice in message
    assert "\n" not in message


def test_code_is_never_fetched_and_pickles_not_before_safetensors():
    assert not [pattern for pattern in CHECKPOINT_FILES if pattern.endswith((".py", ".bin", ".pt", "*"))]
    pickled = ("pytorch_model", "adapter_model", "non_lora_trainables")
    assert all(pattern.startswith(pickled) for pattern in PICKLED_WEIGHTS)
