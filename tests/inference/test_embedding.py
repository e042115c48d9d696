import re

import numpy as np
import pytest
import torch
from clip_vocabulary import small_tokenizer
from numbered_clips import encode, tone
from small_languagebind import PROJECTION_SIZE, write_languagebind

import kinema
from kinema.errors import ConfigError, InputError, MediaError, ModelWarning
from kinema.inference.embedding import EmbeddingModel, Match
from kinema.inference.outline import plan_unloaded
from kinema.inference.runner import RunSettings
from kinema.media.frames import FrameBatch
from kinema.models.languagebind.config import Modality
from kinema.models.registry import load_model
from kinema.processors.clip_text import CLIPTokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("languagebind")
    tokenizer = CLIPTokenizer(small_tokenizer(root), num_positions=12)
    return {modality: write_languagebind(root / modality, modality, tokenizer) for modality in Modality}


@pytest.fixture(scope="module")
def video(folders):
    return kinema.load(folders["video"], device="cpu")


@pytest.fixture(scope="module")
def image(folders):
    return kinema.load(folders["image"], device="cpu")


@pytest.fixture(scope="module")
def pictures():
    return list(np.random.default_rng(0).integers(0, 256, (5, 28, 28, 3), np.uint8))


def frames(count, seed=0):
    data = np.random.default_rng(seed).integers(0, 256, (count, 28, 28, 3), np.uint8)
    return FrameBatch(data=data, pts_s=np.arange(count, dtype=np.float64), duration_s=float(count))


def test_a_checkpoint_that_does_not_write_embeds(video):
    assert isinstance(video, EmbeddingModel)
    assert video.modalities == ("video",)


MEDIA = {
    "image": np.zeros((30, 40, 3), np.uint8),
    "video": encode("mp4", "libx264", count=6),
    "audio": tone(0.3),
    "depth": np.full((30, 40), 1500, np.uint16),
    "thermal": np.zeros((30, 40), np.uint8),
}


@pytest.mark.parametrize("modality", list(Modality))
def test_every_kind_of_media_becomes_the_unit_vector_of_its_tower(folders, modality):
    model, loaded = kinema.load(folders[modality], device="cpu"), load_model(folders[modality])
    vectors = getattr(model, f"embed_{modality}")(MEDIA[modality])
    assert (vectors.shape, vectors.dtype) == ((1, PROJECTION_SIZE), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    pixels = loaded.processor.pixels(MEDIA[modality])
    with torch.inference_mode():
        expected = loaded.model.embed_pixels(pixels[None]).numpy()
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_a_list_is_embedded_in_batches_and_tells_how_far_it_is(image, pictures):
    told = []
    vectors = image.embed_image(
        pictures, batch_size=2, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(2, 5), (4, 5), (5, 5)]
    alone = np.concatenate([image.embed_image(picture) for picture in pictures])
    np.testing.assert_allclose(vectors, alone, atol=1e-5)


def test_clips_of_several_lengths_share_a_batch_and_say_that_they_differ_from_training(video):
    with pytest.warns(ModelWarning, match="one of 3 gets interpolated"):
        vectors = video.embed_video([frames(4), frames(3), frames(4, seed=1)])
    np.testing.assert_allclose(vectors[[0]], video.embed_video(frames(4)), atol=1e-5)
    np.testing.assert_allclose(vectors[[2]], video.embed_video(frames(4, seed=1)), atol=1e-5)


def test_frames_in_another_order_give_another_vector(video):
    forwards = frames(4)
    backwards = FrameBatch(data=forwards.data[::-1].copy(), pts_s=forwards.pts_s, duration_s=4.0)
    assert video.rank(video.embed_video(forwards), video.embed_video(backwards))[0].score < 0.999


def test_settings_of_the_processor_change_and_weights_are_shared(video):
    clip = encode("mp4", "libx264", count=16)
    with pytest.warns(ModelWarning, match="clips of 4 frames; one of 2"):
        fewer = video.with_settings(num_frames=2).embed_video(clip)
    assert not np.allclose(fewer, video.embed_video(clip), atol=1e-3)


def test_texts_do_not_depend_on_what_they_are_embedded_with(image):
    texts = ["a cat", "the dog barks at the cat", ""]
    vectors = image.embed_text(texts)
    assert vectors.shape == (3, PROJECTION_SIZE)
    np.testing.assert_allclose(vectors, np.concatenate([image.embed_text(text) for text in texts]), atol=1e-5)


def test_classes_are_the_softmax_of_scaled_cosines_likeliest_first(image, pictures):
    labels = ["cat", "dog", "bark"]
    found = image.classify(pictures[:2], labels, templates="the {}")
    cosines = image.similarity(
        image.embed_image(pictures[:2]), image.embed_text(["the cat", "the dog", "the bark"])
    )
    weights = np.exp(cosines / 0.07)  # the temperature that training begins with
    for row, expected in zip(found, weights / weights.sum(1, keepdims=True), strict=True):
        assert list(row.values()) == sorted(row.values(), reverse=True)
        assert [row[label] for label in labels] == pytest.approx(expected.tolist(), abs=1e-4)


def test_several_templates_are_averaged(image, pictures):
    both = image.classify(pictures[0], ["cat", "dog"], templates=["the {}", "the {}"])
    once = image.classify(pictures[0], ["cat", "dog"], templates="the {}")
    assert both[0] == pytest.approx(once[0], abs=1e-5)
    assert image.classify(pictures[0], ["cat", "dog"], templates=["the {}", "{}"])[0] != pytest.approx(
        once[0]
    )


def test_the_nearest_come_first(image):
    vectors = np.eye(PROJECTION_SIZE, dtype=np.float32)[[2, 0, 1]]
    query = np.zeros(PROJECTION_SIZE, np.float32)
    query[:2] = 0.6, 0.8
    found = image.rank(query, vectors, top_k=2)
    assert [match.index for match in found] == [2, 1]
    assert [match.score for match in found] == pytest.approx([0.8, 0.6])


def test_a_text_ranks_by_its_own_vector(image):
    texts = image.embed_text(["cat", "dog", "bark"])
    assert image.rank("dog", texts)[0] == Match(1, pytest.approx(1.0))


def test_checkpoints_of_one_text_tower_become_one_model(image, video, pictures):
    both = image.combined_with(video)
    assert both.modalities == ("image", "video")
    np.testing.assert_array_equal(both.embed_image(pictures), image.embed_image(pictures))
    np.testing.assert_array_equal(both.embed_video(frames(4)), video.embed_video(frames(4)))
    assert both.similarity(both.embed_image(pictures), both.embed_video(frames(4))).shape == (5, 1)
    with pytest.raises(InputError, match="say which of them the media are"):
        both.embed(pictures)
    with pytest.raises(InputError, match="two of the models embed video"):
        both.combined_with(video)


def test_checkpoints_of_different_text_towers_are_not_combined(folders, image):
    other = load_model(folders["depth"])
    with torch.no_grad():
        other.model.text_projection.weight.normal_(generator=torch.Generator().manual_seed(7))
    from kinema.inference.tower import Tower

    with pytest.raises(InputError, match="another text tower"):
        image.combined_with(EmbeddingModel(Tower(other.model, other.processor)))


def test_half_precision_gives_float32_vectors_of_length_one(folders, pictures):
    half = kinema.load(folders["image"], device="cpu", dtype="bfloat16").embed_image(pictures)
    assert half.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-6)


def test_a_modality_that_is_not_there_names_the_checkpoint_that_has_it(video):
    said = "embeds video and text, not audio; load 'LanguageBind/LanguageBind_Audio' for it"
    with pytest.raises(InputError, match=said):
        video.embed_audio("clip.mp4")
    with pytest.raises(InputError, match="its family knows no such thing"):
        video.embed("clip.mp4", "smell")


def test_a_file_that_cannot_be_read_is_named(video, tmp_path):
    with pytest.raises(MediaError, match=r"nowhere\.mp4: there is no such file"):
        video.embed_video([frames(4), "nowhere.mp4"])


def test_a_file_that_cannot_be_read_is_left_out_where_somebody_is_told(video):
    told = []
    sources = [frames(4), "nowhere.mp4", frames(4, seed=1)]
    vectors = video.embed_video(sources, batch_size=2, left_out=lambda *error: told.append(error))
    np.testing.assert_allclose(vectors, video.embed_video(sources[::2]), atol=1e-5)
    ((number, error),) = told
    assert number == 1
    assert "nowhere.mp4" in str(error)


def test_a_video_without_sound_has_no_audio_vector(folders, tmp_path):
    silent = tmp_path / "silent.mp4"
    silent.write_bytes(encode("mp4", "libx264"))
    with pytest.raises(MediaError, match=r"silent\.mp4: holds no sound"):
        kinema.load(folders["audio"], device="cpu").embed_audio(silent)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda model: model.embed_image([]), InputError, "list of media is empty"),
        (lambda model: model.embed_image(["a.png"], batch_size=0), ConfigError, "batch_size"),
        (lambda model: model.embed_text([]), InputError, "at least one string"),
        (lambda model: model.classify("a.png", []), InputError, "labels must be"),
        (lambda model: model.classify("a.png", "cat"), InputError, "labels must be"),
        (lambda model: model.classify("a.png", ["cat", "cat"]), InputError, "each once"),
        (lambda model: model.classify("a.png", ["cat"], templates="a photo"), InputError, "needs a {}"),
        (lambda model: model.similarity(np.ones((1, 2)), np.ones((1, 3))), InputError, "of one width"),
        (lambda model: model.rank(np.ones((2, 3)), np.ones((1, 3))), InputError, "takes one query"),
        (lambda model: model.rank("cat", np.ones((1, 3)), top_k=-1), ConfigError, "top_k must be at least 1"),
        (lambda model: model.rank("cat", [1.0, 2.0]), InputError, "of one width"),
    ],
)
def test_what_cannot_be_done_is_refused(image, call, error, said):
    with pytest.raises(error, match=re.escape(said)):
        call(image)


def test_nothing_can_be_planned_or_set_for_answers_of_a_model_that_embeds(folders):
    with pytest.raises(InputError, match="embeds and cannot be asked"):
        plan_unloaded(folders["video"], encode("mp4", "libx264"), device="cpu")
    with pytest.raises(ConfigError, match="embeds and cannot be asked"):
        kinema.load(folders["video"], device="cpu", settings=RunSettings())


def test_a_model_that_compares_vectors_only_does_not_look_again(image, pictures):
    found = image.rank("a dog", image.embed_image(list(pictures)))
    with pytest.raises(InputError, match="compares vectors only"):
        image.rerank("a dog", list(pictures), found)
