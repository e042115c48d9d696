import json

import numpy as np
import pytest
from clip_vocabulary import small_tokenizer
from command_line import run
from numbered_clips import encode
from safetensors import safe_open
from small_languagebind import PROJECTION_SIZE, write_languagebind

import kinema
from kinema.models.languagebind.config import Modality
from kinema.processors.clip_text import CLIPTokenizer


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    root = tmp_path_factory.mktemp("languagebind")
    tokenizer = CLIPTokenizer(small_tokenizer(root), num_positions=12)
    return write_languagebind(root / "video", Modality.VIDEO, tokenizer)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / "short.mp4", folder / "long.mp4"]
    for path, count in zip(paths, (4, 20), strict=True):
        path.write_bytes(encode("mp4", "libx264", count=count))
    return paths


@pytest.fixture(scope="module")
def vectors(embedder, clips):
    model = kinema.load(embedder, device="cpu")
    return model.embed_video(list(map(str, clips))), model.embed_text(["a cat", "the dog barks"])


def test_files_and_texts_give_a_table_of_cosines(embedder, clips, vectors):
    outcome = run("embed", embedder, *clips, "--text", "a cat", "--text", "the dog barks", "--device", "cpu")
    assert outcome.exit_code == 0
    media, text = vectors
    header, *rows = outcome.stdout.splitlines()
    assert header.endswith("   a cat  the dog barks")
    for row, path, cosines in zip(rows, clips, media @ text.T, strict=True):
        assert row.split()[0] == str(path)
        assert [float(cell) for cell in row.split()[1:]] == pytest.approx(cosines.tolist(), abs=1e-3)


def test_json_holds_the_vectors_and_their_cosines(embedder, clips, vectors):
    document = run("embed", embedder, *clips, "--text", "a cat", "--json", "--device", "cpu").document
    media, text = vectors
    assert document.keys() == {"model", "modality", "media", "texts", "cosines"}
    assert document["modality"] == "video"
    assert [entry["name"] for entry in document["media"]] == list(map(str, clips))
    np.testing.assert_allclose([entry["vector"] for entry in document["media"]], media, atol=1e-5)
    np.testing.assert_allclose(document["cosines"], media @ text[:1].T, atol=1e-5)


def test_vectors_are_written_with_what_they_are_of(embedder, clips, vectors, tmp_path):
    media, text = vectors
    arguments = (*clips, "--text", "a cat", "--text", "the dog barks", "--device", "cpu")
    for name in ("vectors.npz", "vectors.safetensors"):
        assert "4 vectors written" in run("embed", embedder, *arguments, "--out", tmp_path / name).stderr
    with np.load(tmp_path / "vectors.npz") as stored:
        np.testing.assert_allclose(stored["media"], media, atol=1e-5)
        assert stored["media_names"].tolist() == list(map(str, clips))
        assert stored["texts"].tolist() == ["a cat", "the dog barks"]
    with safe_open(tmp_path / "vectors.safetensors", "np") as stored:
        np.testing.assert_allclose(stored.get_tensor("text"), text, atol=1e-5)
        assert json.loads(stored.metadata()["media_names"]) == list(map(str, clips))


def test_texts_alone_can_be_embedded(embedder, tmp_path):
    out = tmp_path / "texts.npz"
    assert run("embed", embedder, "--text", "a cat", "--out", out, "--device", "cpu").exit_code == 0
    with np.load(out) as stored:
        assert stored["text"].shape == (1, PROJECTION_SIZE)
        assert "media" not in stored


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        ([], 2, "nothing to embed"),
        (["CLIP"], 2, "pass --out or --json"),
        (["CLIP", "--out", "vectors.txt"], 2, "written as .npz or .safetensors"),
        (["nowhere.mp4", "--json"], 3, "there is no such file"),
        (["CLIP", "--json", "--batch-size", "0"], 2, "batch_size must be at least 1"),
    ],
)
def test_what_would_come_to_nothing_is_refused(embedder, clips, arguments, exit_code, said):
    outcome = run("embed", embedder, *(str(clips[0]) if word == "CLIP" else word for word in arguments))
    assert outcome.exit_code == exit_code
    assert said in outcome.stderr


def test_a_model_that_writes_does_not_embed_and_one_that_embeds_does_not_write(embedder, model_folder, clips):
    outcome = run("embed", model_folder, clips[0], "--json")
    assert outcome.exit_code == 2
    assert "writes text and has no vectors" in outcome.stderr
    outcome = run("ask", clips[0], "What?", "--model", embedder)
    assert outcome.exit_code == 2
    assert "embeds and writes no text; use 'kinema embed" in outcome.stderr


def test_a_plan_for_a_model_that_embeds_is_refused(embedder, clips):
    outcome = run("plan", clips[0], "--model", embedder)
    assert outcome.exit_code == 2
    assert "embeds and cannot be asked" in outcome.stderr
