import json

import numpy as np
import pytest
import torch
from bare_internvideo2 import clip, parts_of, stage2
from bert_vocabulary import PIECES
from clip_vocabulary import small_tokenizer, write_vocabulary
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


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_embedded(embedder, clips, vectors, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    files = (clips[0], broken, clips[1])
    outcome = run("embed", embedder, *files, "--json", "--out", tmp_path / "v.npz", "--batch-size", 1)
    assert outcome.exit_code == 3
    warning, _, last = outcome.stderr.splitlines()[-3:]
    assert warning.startswith(f"warning: {broken}: ")
    assert "1 of 3 files could not be embedded" in last
    assert [entry["name"] for entry in outcome.document["media"]] == list(map(str, clips))
    assert [entry["name"] for entry in outcome.document["left_out"]] == [str(broken)]
    with np.load(tmp_path / "v.npz") as stored:
        np.testing.assert_allclose(stored["media"], vectors[0], atol=1e-5)
        assert stored["media_names"].tolist() == list(map(str, clips))


def test_where_no_file_can_be_read_nothing_is_written(embedder, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    outcome = run("embed", embedder, broken, "--out", tmp_path / "v.npz")
    assert outcome.exit_code == 3
    assert "none of the 1 files can be embedded" in outcome.stderr
    assert not (tmp_path / "v.npz").exists()


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


@pytest.fixture(scope="module")
def of_several_kinds(tmp_path_factory):
    """A file of stage 2 of InternVideo2, which embeds clips and pictures, with its vocabulary beside it."""
    folder = tmp_path_factory.mktemp("stage2")
    torch.save({"module": stage2()[1]}, folder / "stage2.pt")
    (folder / "vocab.txt").write_text("\n".join(PIECES))
    return folder / "stage2.pt"


def test_a_model_of_several_kinds_is_told_which_of_them_the_files_are(of_several_kinds, clips):
    outcome = run("embed", of_several_kinds, clips[0], "--json", "--device", "cpu")
    assert outcome.exit_code == 2
    assert "embeds video, image and text; say which of them the media are" in outcome.stderr
    arguments = (clips[0], "--text", "a dog", "--modality", "video", "--json", "--device", "cpu")
    document = run("embed", of_several_kinds, *arguments).document
    model = kinema.load(of_several_kinds, device="cpu")
    assert document["modality"] == "video"
    np.testing.assert_allclose(
        document["cosines"], model.embed_video(str(clips[0])) @ model.embed_text("a dog").T, atol=1e-5
    )
    words = run("embed", of_several_kinds, "--text", "a dog", "--json", "--device", "cpu").document
    assert words["modality"] is None


def test_what_was_published_apart_is_named_by_part(clips, tmp_path):
    files = parts_of(clip()[1])
    for name, tensors in files.items():
        torch.save(tensors, tmp_path / f"{name}.pth")
    words = tmp_path / "words"
    words.mkdir()
    write_vocabulary(words)
    parts = {"vision": tmp_path / "vision.pth", "text": tmp_path / "text.pth", "tokenizer": words}
    options = [option for part in parts.items() for option in ("--part", "=".join(map(str, part)))]
    trained = tmp_path / "trained.pth"
    arguments = (clips[0], "--text", "a cat", "--modality", "video", "--json", "--device", "cpu")
    outcome = run("embed", trained, *arguments)
    assert outcome.exit_code == 4
    assert "needs the video encoder it was trained on" in outcome.stderr
    together = run("embed", trained, *arguments, *options).document
    converted = run("convert", trained, tmp_path / "whole", "--layout", "official", *options)
    assert converted.exit_code == 0
    whole = run("embed", tmp_path / "whole", *arguments).document
    np.testing.assert_allclose(whole["cosines"], together["cosines"], atol=1e-6)


@pytest.mark.parametrize("options", [["vision"], ["vision="], ["a=b", "a=c"]])
def test_a_part_of_another_form_is_refused(embedder, clips, options):
    flags = [word for option in options for word in ("--part", option)]
    outcome = run("embed", embedder, clips[0], "--json", *flags)
    assert outcome.exit_code == 2
    assert "give each part once, as NAME=SOURCE" in outcome.stderr
