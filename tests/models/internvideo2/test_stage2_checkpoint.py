import json
import warnings

import numpy as np
import pytest
import torch
from bert_vocabulary import small_tokenizer
from golden_case import GoldenCase
from golden_stage2 import stage2_model
from safetensors.torch import load_file, save_file

from kinema.errors import ConfigError, InputError, WeightsError
from kinema.inference.embedding import EmbeddingModel
from kinema.inference.tower import Tower
from kinema.media.frames import AudioClip
from kinema.models.internvideo2 import stage2_checkpoint
from kinema.models.internvideo2.stage2_checkpoint import load_stage2, save_stage2
from kinema.models.internvideo2.stage2_processor import Stage2Processor, Stage2ProcessorConfig
from kinema.processors.bert_text import BertTokenizer

CASES = {"visual": "C_stage2_visual", "hearing": "C_stage2_audiovisual"}


@pytest.fixture(scope="module")
def cases(golden_dir):
    return {name: GoldenCase(golden_dir / "internvideo2" / folder) for name, folder in CASES.items()}


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    tokenizer = BertTokenizer(small_tokenizer(tmp_path_factory.mktemp("vocabulary")))
    return Stage2Processor(tokenizer, Stage2ProcessorConfig(size=28, num_frames=2))


@pytest.fixture(scope="module")
def folders(cases, processor, tmp_path_factory):
    """Both models of the golden cases, as folders that we wrote."""
    folders = {}
    for name, case in cases.items():
        folders[name] = tmp_path_factory.mktemp("saved") / name
        save_stage2(stage2_model(case), processor, folders[name])
    return folders


def published_sizes(case):
    """What no shape tells."""
    vision, text = case.config["vision"], case.config["text"]
    return {
        "image_size": vision["img_size"],
        "num_heads": vision["num_heads"],
        "num_text_heads": text["num_attention_heads"],
    }


@pytest.mark.parametrize("level", ["module", "model"])
def test_a_published_file_loads_by_its_shapes(cases, tmp_path, level):
    case = cases["visual"]
    torch.save({level: case.weights(), "epoch": 9}, tmp_path / "stage2.pt")
    model = load_stage2(tmp_path / "stage2.pt", **published_sizes(case))
    assert model.config == stage2_model(case).config
    with torch.no_grad():
        case.check(model.see(case.inputs["video"]).projection, "video_proj")


def test_sizes_of_a_model_that_hears_are_read_from_its_shapes(cases):
    case = cases["hearing"]
    config = load_stage2(case.folder / "weights.safetensors", **published_sizes(case)).config
    expected = stage2_model(case).config
    assert (config.vision, config.text) == (expected.vision, expected.text)
    assert config.sound.has_match_head
    assert config.sound.encoder.max_distance == 800  # no shape tells; all published encoders have it


@pytest.mark.parametrize("name", CASES)
def test_weights_are_saved_bit_for_bit_and_load_again(cases, folders, name):
    case, written = cases[name], load_file(folders[name] / "model.safetensors")
    weights = case.weights()
    counted = "text_encoder.bert.embeddings.position_ids"
    assert written.keys() == weights.keys() - {counted}
    assert all(torch.equal(written[key], weights[key]) for key in written)
    assert load_stage2(folders[name]).config == stage2_model(case).config


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vision_proj.weight": None}, "1 key missing: vision_proj.weight"),
        ({"text_proj.bias": None, "temp": None}, "2 keys missing"),
        ({"itm_head.more": torch.zeros(2)}, r"1 key without a rule: itm_head\.more"),
        ({"itm_head.bias": torch.zeros(3)}, "of another shape: itm_head.bias"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_by_name(cases, tmp_path, change, said):
    case = cases["visual"]
    changed = {key: value for key, value in (case.weights() | change).items() if value is not None}
    save_file(changed, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=said):
        load_stage2(tmp_path / "model.safetensors", **published_sizes(case))


def test_a_copy_that_differs_from_what_it_copies_is_refused(cases, tmp_path):
    case, copy = cases["visual"], "text_encoder.cls.predictions.decoder.bias"
    weights = case.weights()
    save_file(weights | {copy: weights[copy] + 1}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="differs from"):
        load_stage2(tmp_path / "model.safetensors", **published_sizes(case))


def test_a_file_of_another_family_is_refused(tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="not the weights that were asked for"):
        load_stage2(tmp_path / "model.safetensors")


def embedder(folder):
    """As ``kinema.load`` makes it."""
    loaded = stage2_checkpoint.load(folder)
    return EmbeddingModel(Tower(loaded.model, loaded.processor), *(Tower(*pair) for pair in loaded.beside))


def test_a_model_that_hears_embeds_clips_images_sound_and_text_in_one_space(cases, folders):
    model = embedder(folders["hearing"])
    assert model.modalities == ("video", "image", "audio", "audio_video")
    frames = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), dtype=np.uint8)
    tone = np.sin(np.arange(44_100, dtype=np.float32) / 20)[:, None].repeat(2, axis=1)
    clip = AudioClip(data=tone, sample_rate=44_100, start_s=0.0)
    vectors = [
        model.embed_video([frames]),
        model.embed_image([frames[0]]),
        model.embed_audio([clip]),
        model.embed_text("a dog barks"),
    ]
    assert {vector.shape for vector in vectors} == {(1, cases["hearing"].config["embed_dim"])}
    assert [float(np.linalg.norm(vector)) for vector in vectors] == pytest.approx([1.0] * 4, abs=1e-5)


def test_what_was_found_is_looked_at_again_with_its_match_head(folders):
    model = embedder(folders["hearing"])
    clips = [
        np.random.default_rng(seed).integers(0, 256, (2, 28, 28, 3), dtype=np.uint8) for seed in range(3)
    ]
    found = model.rank("a dog", model.embed_video(clips), top_k=2)
    again = model.rerank("a dog", clips, found, modality="video")
    assert {match.index for match in again} == {match.index for match in found}
    assert again[0].score >= again[1].score
    loaded = stage2_checkpoint.load(folders["hearing"])
    network, processor = loaded.model, loaded.processor
    with torch.no_grad():
        pixels, text = processor.pixels(clips[again[0].index])[None], processor.texts(["a dog"])
        logits = network.match(network.see(pixels), network.read(text.input_ids, text.attention_mask))
    assert again[0].score == pytest.approx(logits[0, 1].item(), abs=1e-4)
    with pytest.raises(InputError, match="nothing to look at again"):
        model.rerank("a dog", clips, [], modality="video")
    with pytest.raises(InputError, match="there are 1 media; pass all of them"):
        model.rerank("a dog", clips[:1], found, modality="video")


def test_sounds_are_looked_at_again_by_the_head_for_sound(folders):
    model = embedder(folders["hearing"])
    noise = np.random.default_rng(0).standard_normal((2, 8000, 1)).astype(np.float32)
    sounds = [AudioClip(data=samples, sample_rate=16_000, start_s=0.0) for samples in noise]
    found = model.rank("a dog", model.embed_audio(sounds))
    assert len(model.rerank("a dog", sounds, found, modality="audio")) == 2


def test_a_model_that_hears_nothing_says_which_one_does(folders):
    model = embedder(folders["visual"])
    clip = AudioClip(data=np.zeros((16_000, 1), np.float32), sample_rate=16_000, start_s=0.0)
    with pytest.raises(InputError, match="not audio; load 'OpenGVLab/InternVideo2-Stage2_6B-224p-f4'"):
        model.embed_audio([clip])


def test_a_lone_text_has_the_vector_it_has_beside_a_longer_one(folders):
    model = embedder(folders["visual"])
    np.testing.assert_allclose(
        model.embed_text("a cat"), model.embed_text(["a cat", "the dog barks a cat"])[:1], atol=1e-5
    )


def test_captions_lose_their_punctuation_unless_told(processor):
    clean, whole = processor, processor.with_settings(cleans_captions=False)
    assert torch.equal(clean.texts(["A cat!"]).input_ids, clean.texts(["a cat"]).input_ids)
    assert whole.texts(["A cat!"]).input_ids.shape[1] > clean.texts(["a cat"]).input_ids.shape[1]


def test_settings_of_the_processor_are_saved(cases, processor, tmp_path):
    changed = processor.with_settings(num_frames=8, max_tokens=64)
    save_stage2(stage2_model(cases["visual"]), changed, tmp_path / "saved")
    assert stage2_checkpoint.load(tmp_path / "saved").processor.config == changed.config


def test_an_outline_has_shapes_only(folders):
    outline = stage2_checkpoint.load_outline(folders["visual"], dtype=torch.bfloat16).model
    assert {(tensor.device.type, tensor.dtype) for tensor in outline.parameters()} == {
        ("meta", torch.bfloat16)
    }


def test_a_vocabulary_larger_than_the_text_encoder_is_refused(folders, cases, processor, tmp_path):
    config = json.loads((folders["visual"] / "config.json").read_text())
    small = stage2_model(cases["visual"]).config
    words = tmp_path / "vocab.txt"
    words.write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(small.text.vocab_size))])
    )
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=f"{small.text.vocab_size + 5} tokens"):
        stage2_checkpoint.load_processor(tmp_path, small)


@pytest.mark.parametrize("changes", [{"modality": "smell"}, {"num_frames": 0}, {"sampling": "never"}])
def test_settings_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError):
        Stage2ProcessorConfig(**changes)


def test_media_of_another_kind_are_refused(processor):
    clip = AudioClip(data=np.zeros((400, 1), np.float32), sample_rate=16_000, start_s=0.0)
    with pytest.raises(InputError, match="takes frames"):
        processor.video(clip)
    with pytest.raises(InputError, match="takes sound"):
        processor.audio(np.zeros((2, 2, 3), np.uint8))


@torch.no_grad()
def test_clips_longer_than_the_table_get_interpolated_positions(cases):
    case = cases["visual"]
    model, clip = stage2_model(case), case.inputs["video"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        longer = model.see(clip.repeat_interleave(2, dim=1))
    assert longer.tokens.shape[1] == 1 + 2 * (case.outputs["video_embeds"].shape[1] - 1)
