"""Clips with their sound behind the front door: one vector of both, by a model that joins them."""

import numpy as np
import pytest
import torch
from bert_vocabulary import small_tokenizer
from command_line import run
from golden_case import GoldenCase
from golden_stage2 import stage2_model
from numbered_clips import encode, tone

import kinema
from kinema.errors import InputError, MediaError
from kinema.media.frames import FrameBatch
from kinema.media.video import open_video
from kinema.models.internvideo2.stage2_checkpoint import save_stage2
from kinema.models.internvideo2.stage2_processor import Stage2Processor, Stage2ProcessorConfig
from kinema.processors.bert_text import BertTokenizer
from kinema.toybox import make_scene, write_clip


@pytest.fixture(scope="module")
def folders(golden_dir, tmp_path_factory):
    """A model that hears and one that does not, as folders that we wrote."""
    root = tmp_path_factory.mktemp("stage2")
    tokenizer = BertTokenizer(small_tokenizer(root))
    processor = Stage2Processor(tokenizer, Stage2ProcessorConfig(size=28, num_frames=2))
    for name, case in (("hearing", "C_stage2_audiovisual"), ("deaf", "C_stage2_visual")):
        save_stage2(stage2_model(GoldenCase(golden_dir / "internvideo2" / case)), processor, root / name)
    return root


@pytest.fixture(scope="module")
def model(folders):
    return kinema.load(folders / "hearing", device="cpu")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Three films of the toybox, with sound."""
    folder = tmp_path_factory.mktemp("films")
    paths = [folder / f"{seed}.mp4" for seed in range(3)]
    for seed, path in enumerate(paths):
        write_clip(make_scene(seed, level=1), path)
    return paths


def test_a_film_has_one_vector_of_what_is_seen_and_heard(model, films):
    vectors = model.embed_video(films, with_sound=True)
    network, processor = (getattr(model._towers["audio_video"], part) for part in ("network", "processor"))
    for film, vector in zip(films, vectors, strict=True):
        pixels, sound = processor.video(film)[None], processor.audio(film)[None]
        with torch.no_grad():
            both = network.model.join(network.model.see(pixels), network.model.hear(sound)).projection[0]
        np.testing.assert_allclose(vector, torch.nn.functional.normalize(both, dim=0), atol=1e-5)
    assert not np.allclose(vectors, model.embed_video(films), atol=1e-2)
    assert not np.allclose(vectors, model.embed_audio(films), atol=1e-2)


def test_films_are_the_kind_audio_video_of_every_other_method(model, films):
    vectors = model.embed_video(films, with_sound=True)
    np.testing.assert_array_equal(model.embed(films, "audio_video", batch_size=3), vectors)
    assert {match.index for match in model.rank("a cat", vectors)} == {0, 1, 2}
    (shares,) = model.classify(films[0], ["a cat", "a dog"], modality="audio_video")
    assert sum(shares.values()) == pytest.approx(1)


def test_films_are_looked_at_again_by_the_head_for_both(model, films):
    found = model.rank("a dog", model.embed_video(films, with_sound=True), top_k=2)
    again = model.rerank("a dog", films, found, modality="audio_video")
    assert {match.index for match in again} == {match.index for match in found}
    tower = model._towers["audio_video"]
    pixels, sound = (part[None] for part in tower.processor.pixels(films[again[0].index]))
    with torch.no_grad():
        network, ids = tower.network.model, tower.processor.texts(["a dog"]).input_ids
        film = network.join(network.see(pixels), network.hear(sound))
        logits = network.match(film, network.read(ids))
    assert again[0].score == pytest.approx(logits[0, 1].item(), abs=1e-4)


def test_clip_and_sound_may_come_apart(model, films):
    with open_video(films[0]) as video:
        frames = video.read(sampling="internvideo2_middle", num_frames=2)
    apart = [(frames, films[0]), (films[0], tone())]
    vectors = model.embed_video(apart, with_sound=True)
    np.testing.assert_allclose(vectors[:1], model.embed_video(films[:1], with_sound=True), atol=1e-5)
    assert not np.allclose(vectors[1], vectors[0], atol=1e-3)


def test_a_film_without_a_sound_track_is_refused(model):
    with pytest.raises(MediaError, match="sound"):
        model.embed_video(encode("mp4", "libx264", count=4), with_sound=True)


@pytest.mark.parametrize("form", ["array", "batch"])
def test_frames_without_sound_are_refused(model, form):
    frames = np.zeros((2, 28, 28, 3), np.uint8)
    clip = frames if form == "array" else FrameBatch(data=frames, pts_s=np.arange(2.0), duration_s=2.0)
    with pytest.raises(InputError, match=r"pass a list of tuples \(clip, sound\)"):
        model.embed_video([clip], with_sound=True)


def test_a_model_that_does_not_hear_says_which_one_does(folders, films):
    deaf = kinema.load(folders / "deaf", device="cpu")
    with pytest.raises(InputError, match="not audio_video; load 'OpenGVLab/InternVideo2-Stage2_6B-224p-f4'"):
        deaf.embed_video(films, with_sound=True)


def test_the_command_line_embeds_films_with_their_sound(model, folders, films):
    arguments = ("embed", folders / "hearing", *films, "--modality", "audio_video", "--json")
    document = run(*arguments, "--device", "cpu").document
    assert document["modality"] == "audio_video"
    expected = model.embed_video(films, with_sound=True)
    np.testing.assert_allclose([entry["vector"] for entry in document["media"]], expected, atol=1e-5)
