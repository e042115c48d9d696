"""InternVideo2-CLIP against the original's numbers, put together from its three files or whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from clip_vocabulary import small_tokenizer
from golden_case import GoldenCase
from safetensors.torch import load_file, save_file

import kinema
from kinema.errors import ConfigError, InputError, ModelWarning, WeightsError
from kinema.models.internvideo2.clip import InternVideo2CLIP, InternVideo2CLIPConfig
from kinema.models.internvideo2.clip_assembly import assemble_clip
from kinema.models.internvideo2.clip_checkpoint import load_clip, save_clip
from kinema.models.internvideo2.clip_keys import clip_keymap
from kinema.models.internvideo2.clip_processor import CLIPProcessor, CLIPProcessorConfig
from kinema.models.internvideo2.config import clip_large, clip_small, vision_1b, vision_s14
from kinema.models.internvideo2.vision_checkpoint import load_tower
from kinema.models.registry import convert_model, find_family, load_model, load_outline
from kinema.modules.text.clip import CLIPTextConfig
from kinema.processors.aligned import AlignedInputs
from kinema.processors.clip_text import CLIPTokenizer
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.processors.square_pixels import square_pixels
from kinema.processors.summary_text import SummaryTokenizer
from kinema.processors.text_inputs import TextInputs
from kinema.training.alignment import Alignment

SETTINGS = CLIPProcessorConfig(size=28, num_frames=4)
CONTRAST = Alignment(
    weights={"vtc": 1.0}, video_mask_ratio=0.0, image_mask_ratio=0.0, temperature_range=(0.01, 0.5)
)


@pytest.fixture(scope="module")
def large(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/E_clip_llama_text")


@pytest.fixture(scope="module")
def small(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/E_clip_small_text")


def sizes_of(case: GoldenCase) -> dict:
    """What no shape tells."""
    text = case.config["text"]
    vision = case.config["vision"]
    return {
        "image_size": vision["img_size"],
        "num_heads": vision["num_heads"],
        "num_text_heads": text.get("num_attention_heads", text.get("n_heads_per_layer")),
    }


def large_model(case: GoldenCase, **files) -> InternVideo2CLIP:
    names = {"vision": "source_stage2", "text": "source_text", "trained": "source_delta"}
    paths = {part: case.folder / f"weights.{name}.safetensors" for part, name in names.items()}
    frames = case.config["vision"]["num_frames"]
    return assemble_clip(**(paths | files), num_frames=frames, **sizes_of(case))


def small_model(case: GoldenCase) -> InternVideo2CLIP:
    return load_clip(case.folder / "weights.safetensors", **sizes_of(case))


@pytest.mark.parametrize("name", ["large", "small"])
def test_embeddings_and_loss_equal_the_original(request, name):
    case = request.getfixturevalue(name)
    model = large_model(case) if name == "large" else small_model(case)
    ids = case.inputs["text_ids"]
    for kind in ("video", "image"):
        case.check(model.vision_encoder(case.inputs[kind]).pooled, f"{kind}_pooled")
        case.check(model.see(case.inputs[kind]).projection, f"{kind}_embeds")
    case.check(model.read(ids, ids > 0).projection, "text_embeds")
    similarity = model.embed_pixels(case.inputs["video"]) @ model.embed_text(ids, ids > 0).T
    case.check(similarity, "sim_v2t")
    text = TextInputs(input_ids=ids, attention_mask=(ids > 0).long())
    inputs = AlignedInputs(ids=case.inputs["idx"], pixel_values=case.inputs["video"], captions={"text": text})
    loss = CONTRAST(model, inputs)
    case.check(loss, "loss_vtc")
    train_what_was_trained(model)
    CONTRAST(model, inputs).backward()
    check_gradients(case, model)


def train_what_was_trained(model):
    for name, parameter in model.named_parameters():
        trained = ("vision_encoder.pool.", "vision_align.", "temperature")
        parameter.requires_grad_(name.startswith(trained))


def check_gradients(case, model):
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    zeros = {name: torch.zeros_like(p) for name, p in model.named_parameters() if p.grad is None}
    theirs = dict(clip_keymap(model.config).export({k: zeros.get(k, g) for k, g in gradients.items()}))
    named = {name.removeprefix("grad.") for name in case.outputs if name.startswith("grad.")}
    assert named
    for name in named:
        case.check(theirs[name], f"grad.{name}")
    learned = {name for name, gradient in gradients.items() if gradient is not None}
    ours_of = {
        part.ours: name
        for name, entry in clip_keymap(model.config)
        .inventory({k: tuple(p.shape) for k, p in model.named_parameters()})
        .items()
        for part in entry.parts
    }
    assert {ours_of[name] for name in learned} == set(case.details["parameters_with_gradient"])


@pytest.mark.parametrize("name", ["large", "small"])
def test_the_temperature_is_held_above_one_hundredth(request, name):
    case = request.getfixturevalue(name)
    model, ids = large_model(case) if name == "large" else small_model(case), case.inputs["text_ids"]
    text = TextInputs(input_ids=ids, attention_mask=(ids > 0).long())
    inputs = AlignedInputs(ids=case.inputs["idx"], pixel_values=case.inputs["image"], captions={"a": text})
    with torch.no_grad():
        model.temperature.fill_(0.001)
        CONTRAST(model, inputs)
    case.check(model.temperature, "temp_after_clamp_of_0.001")


def test_the_small_text_tower_equals_the_original(small):
    with torch.no_grad():
        encoded = small_model(small).text_encoder.encode(small.inputs["text_ids"])
    small.check(encoded, "text_tokens_after_final_norm")


@pytest.fixture(scope="module")
def pieces(golden_dir):
    """A SentencePiece model; it has more pieces than the golden tower has rows, so it is checked apart."""
    return SentencePieceTokenizer((golden_dir / "video_llava/tokenizer.model").read_bytes())


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return CLIPTokenizer(small_tokenizer(tmp_path_factory.mktemp("vocabulary")), num_positions=16)


def test_three_files_become_one_whole_model(large, pieces, tmp_path):
    model = large_model(large)
    save_clip(model, CLIPProcessor(SummaryTokenizer(pieces), SETTINGS), tmp_path / "saved")
    written = load_file(tmp_path / "saved/model.safetensors")
    assert sorted(written) == large.details["assembled_keys"]
    again = load_clip(tmp_path / "saved")
    assert again.config == model.config
    assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in model.state_dict().items())


def test_a_whole_model_is_written_bit_for_bit(small, words, tmp_path):
    save_clip(small_model(small), CLIPProcessor(words, SETTINGS), tmp_path / "saved")
    written, weights = load_file(tmp_path / "saved/model.safetensors"), small.weights()
    assert written.keys() == weights.keys()
    assert all(torch.equal(written[key], weights[key]) for key in weights)


def test_a_vocabulary_that_is_too_large_for_the_tower_is_refused(large, pieces, tmp_path):
    save_clip(large_model(large), CLIPProcessor(SummaryTokenizer(pieces), SETTINGS), tmp_path / "saved")
    rows = large.config["text"]["vocab_size"]
    with pytest.raises(WeightsError, match=f"the text encoder {rows}; they do not belong together"):
        load_model(tmp_path / "saved")


def test_a_distilled_model_is_put_together_from_its_three_files(small, tmp_path):
    weights = small.weights()
    trained = {
        k: v for k, v in weights.items() if "clip_projector" in k or k.startswith(("temp", "vision_al"))
    }
    vision = {k.removeprefix("vision_encoder."): v for k, v in weights.items() if k.startswith("vision_enc")}
    vision |= {"clip_pos_embed": torch.ones(1), "mae_decoder.0.norm.bias": torch.ones(1)}
    text = {k: v for k, v in weights.items() if k.startswith("text_encoder.")}
    text |= {"image_encoder.stem.weight": torch.ones(1), "logit_scale": torch.ones(())}
    files = {"vision": vision, "text": text, "trained": trained}
    for name, tensors in files.items():
        save_file({key: tensor.clone() for key, tensor in tensors.items()}, tmp_path / f"{name}.safetensors")
    frames = small.config["vision"]["num_frames"]
    paths = {name: tmp_path / f"{name}.safetensors" for name in files}
    model = assemble_clip(**paths, num_frames=frames, **sizes_of(small))
    expected = small_model(small).state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in model.state_dict().items())


@pytest.fixture
def trained(large, tmp_path):
    """A function that writes the trained part with other tensors, None for none."""

    def change(tensors):
        new = large.weights("weights.source_delta") | tensors
        save_file({k: v for k, v in new.items() if v is not None}, tmp_path / "delta.safetensors")
        return tmp_path / "delta.safetensors"

    return change


UPDATE = "text_encoder.transformer.layers.0.self_attn.q_proj.lora_{}.default.weight"


@pytest.mark.parametrize(("first", "second"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_low_rank_updates_of_zero_change_nothing(large, trained, first, second):
    factors = {
        UPDATE.format("A"): torch.full((4, 32), first),
        UPDATE.format("B"): torch.full((32, 4), second),
    }
    file = trained(factors)
    assert len(large_model(large, trained=file).state_dict()) == len(large_model(large).state_dict())


def test_low_rank_updates_that_count_are_refused(large, trained):
    file = trained({UPDATE.format("A"): torch.ones(4, 32), UPDATE.format("B"): torch.ones(32, 4)})
    with pytest.raises(WeightsError, match=r"lora_B.* is not zero"):
        large_model(large, trained=file)


@pytest.mark.parametrize("key", ["temp", "vision_encoder.clip_projector.cross_attn.proj.weight"])
def test_a_part_that_was_trained_and_is_not_there_is_named(large, trained, key):
    with pytest.raises(WeightsError, match=f"lacks {key}, which was trained"):
        large_model(large, trained=trained({key: None}))


def test_a_tensor_that_no_rule_takes_is_named(large, trained):
    with pytest.raises(WeightsError, match="no rule for colour; is it the file that was asked for"):
        large_model(large, trained=trained({"colour": torch.ones(1)}))


def test_a_trained_part_of_another_size_is_refused(large, trained):
    key = "vision_encoder.clip_projector.norm1_q.weight"
    with pytest.raises(WeightsError, match="models of different sizes"):
        large_model(large, trained=trained({key: torch.ones(7)}))


def test_what_was_trained_is_no_model(large):
    with pytest.raises(WeightsError, match="not the weights that were asked for"):
        load_clip(large.folder / "weights.source_delta.safetensors", **sizes_of(large))


def test_text_padded_on_the_left_is_refused(large):
    ids = torch.tensor([[0, 5]])
    with pytest.raises(InputError, match="padded on the right"):
        large_model(large).embed_text(ids, ids > 0)
    with pytest.raises(InputError, match="at least one token"):
        large_model(large).embed_text(torch.zeros_like(ids), torch.zeros_like(ids))


def test_a_model_has_one_text_tower(small):
    with pytest.raises(ConfigError, match="either decoder or text"):
        InternVideo2CLIPConfig(vision=small_model(small).config.vision)


def test_published_sizes_train_a_few_millions():
    with torch.device("meta"):
        large, small = InternVideo2CLIP(clip_large(vision_1b())), InternVideo2CLIP(clip_small(vision_s14()))
    pool = sum(parameter.numel() for parameter in large.vision_encoder.pool.parameters())
    assert round(pool / 1e6) == 7  # 14 MB in bfloat16
    assert large.text_projection.shape == (4096, 768)
    assert small.text_projection.shape == (512, 512)


def front_door(folder, words) -> InternVideo2CLIP:
    """A model of random weights whose text tower fits the small vocabulary, as a folder."""
    torch.manual_seed(0)
    vision = replace(
        vision_s14(), num_layers=1, hidden_size=32, intermediate_size=32, num_heads=2, image_size=28
    )
    text = CLIPTextConfig(vocab_size=524, hidden_size=16, intermediate_size=16, num_layers=1, num_heads=2)
    text = replace(text, vocab_size=words.end_id + 1, max_positions=16)
    model = InternVideo2CLIP(InternVideo2CLIPConfig(vision=vision, align_size=12, text=text)).eval()
    save_clip(model, CLIPProcessor(words, SETTINGS), folder)
    return model


@torch.no_grad()
def test_the_front_door_embeds_clips_pictures_and_texts(words, tmp_path):
    model = front_door(tmp_path / "saved", words)
    embedding = kinema.load(tmp_path / "saved", device="cpu")
    assert set(embedding.modalities) == {"video", "image"}
    clip = np.random.default_rng(0).integers(0, 255, (5, 40, 60, 3), dtype=np.uint8)
    video, image = embedding.embed_video(clip), embedding.embed_image(clip[0])
    assert video.shape == image.shape == (1, 12)
    pixels = square_pixels(clip, size=28)[None]
    np.testing.assert_allclose(video, model.embed_pixels(pixels), atol=1e-5)
    text = words(["a cat barks"])
    expected = model.embed_text(text.input_ids, text.attention_mask)
    np.testing.assert_allclose(embedding.embed_text("a cat barks"), expected, atol=1e-5)


def test_the_video_tower_of_a_saved_model_loads_alone(words, tmp_path):
    model = front_door(tmp_path / "saved", words)
    tower = load_tower(tmp_path / "saved")
    expected = model.vision_encoder.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in tower.state_dict().items())


@torch.no_grad()
def test_clips_of_any_shape_are_embedded_in_their_own(words, tmp_path):
    front_door(tmp_path / "saved", words)
    squeezed = kinema.load(tmp_path / "saved", device="cpu")
    shaped, native = (squeezed.with_settings(keeps_shape=True, size=size) for size in (28, None))
    rng = np.random.default_rng(0)
    wide, tall = (rng.integers(0, 255, (3, *sides, 3), dtype=np.uint8) for sides in ((30, 60), (60, 30)))
    assert native.embed_video([wide, tall]).shape == (2, 12)
    assert np.abs(shaped.embed_video(wide) - squeezed.embed_video(wide)).max() > 1e-4
    square = rng.integers(0, 255, (3, 40, 40, 3), dtype=np.uint8)
    np.testing.assert_allclose(shaped.embed_video(square), squeezed.embed_video(square), atol=1e-6)
    with pytest.raises(ConfigError, match="keep their shape"):
        squeezed.with_settings(size=None)


def test_a_folder_converts_to_another_dtype_and_is_outlined_without_weights(words, tmp_path):
    front_door(tmp_path / "saved", words)
    convert_model(tmp_path / "saved", tmp_path / "half", layout="official", dtype=torch.bfloat16)
    loaded = load_model(tmp_path / "half")
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}
    assert loaded.processor.config == SETTINGS
    (tmp_path / "half/model.safetensors").unlink()
    outline = load_outline(tmp_path / "half", dtype=torch.float32)
    assert all(parameter.is_meta for parameter in outline.model.parameters())
    with pytest.raises(WeightsError, match="no layout 'other'"):
        convert_model(tmp_path / "saved", tmp_path / "no", layout="other")
    with pytest.raises(ConfigError, match="compat='official' only"):
        load_model(tmp_path / "saved", compat="transformers")


@pytest.mark.parametrize("part", ["student", "classifier"])
def test_a_part_of_the_family_says_what_loads_it(part):
    with pytest.raises(WeightsError, match=rf"part of InternVideo2.*checkpoint\.load_{part}"):
        find_family({"model_type": f"internvideo2_{part}"})


def test_texts_are_read_as_internvl_was_trained(pieces):
    short, long = pieces.encode("summarize:a dog"), pieces.encode("summarize:a dog barks")
    tokenizer = SummaryTokenizer(pieces, max_tokens=len(short) + 3)
    with pytest.warns(ModelWarning, match="their ends are left out"):
        tokens = tokenizer(["a dog", "a dog barks"])
    assert tokens.input_ids.tolist() == [[1, *short, 2, 0], [1, *long[: len(short) + 1], 2]]
    assert tokens.attention_mask.tolist() == [[True] * (len(short) + 2) + [False], [True] * (len(short) + 3)]


def test_captions_lose_their_punctuation_unless_told(words):
    clean = CLIPProcessor(words, SETTINGS)
    whole = clean.with_settings(cleans_captions=False)
    assert torch.equal(clean.texts(["A cat!"]).input_ids, clean.texts(["a cat"]).input_ids)
    assert not torch.equal(whole.texts(["a cat!"]).input_ids, whole.texts(["a cat"]).input_ids)
    with pytest.raises(InputError, match="a text must be a string, got int: 1"):
        clean.texts([1])


def test_a_text_tower_reads_as_far_as_padding_of_0(large):
    model, ids = large_model(large), large.inputs["text_ids"]
    assert torch.equal(model.embed_text(ids), model.embed_text(ids, ids > 0))
