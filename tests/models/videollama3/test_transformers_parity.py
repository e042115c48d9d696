"""Weights that change hands between our classes and those of transformers give the same numbers in both."""

import json

import pytest
import torch

from kinema.models.videollama3.checkpoint import load, load_weights, save
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.keys import Layout, model_keymap
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig
from kinema.processors.inputs import ModelInputs, VisualInputs
from kinema.training.adapters import Adapter, add_adapter, merge_adapter, save_adapter

transformers = pytest.importorskip("transformers")

TOLERANCE = 5e-4
NUM_NEW_TOKENS = 8

IMAGE_GRID, VIDEO_GRID = (
    [1, 2, 3],
    [2, 4, 2],
)  # 6 tokens of one patch each; 2 frames of 2 tokens of 2x2 patches
KEPT_OF_VIDEO = [True, True, False, True]


def tiny_config(*, tied: bool) -> VideoLLaMA3Config:
    return VideoLLaMA3Config(
        vision=NaViTConfig(hidden_size=32, intermediate_size=48, num_layers=2, num_heads=2),
        language=DecoderConfig(
            vocab_size=400,
            hidden_size=48,
            intermediate_size=80,
            num_layers=2,
            num_heads=4,
            num_kv_heads=2,
            head_dim=12,
            max_positions=512,
            rope_theta=1e6,
            attention_bias=True,
            tie_word_embeddings=tied,
        ),
    )


@pytest.fixture(scope="module")
def processor(official_folder):
    return load(official_folder).processor


@pytest.fixture(scope="module")
def placeholders(processor):
    return tuple(processor.tokenizer.special_id(token) for token in ("<|image_pad|>", "<|video_pad|>"))


@pytest.fixture(scope="module")
def input_ids(processor, placeholders):
    image, video = placeholders
    before, between, after = (
        processor.tokenizer.encode(text) for text in ("A picture", "and a clip", "what?")
    )
    ids = [*before, *[image] * 6, *between, video, video, *between, video, *after]
    return torch.tensor([ids])


@pytest.fixture(scope="module")
def pixels():
    """Patches of the image, then of the video."""
    return torch.randn(6 + 16, 588, generator=torch.Generator().manual_seed(0))


def our_logits(model, input_ids, pixels, placeholders):
    visual = VisualInputs(
        pixel_values=pixels,
        grid_thw=torch.tensor([IMAGE_GRID, VIDEO_GRID]),
        merge_sizes=torch.tensor([1, 2]),
        keep_mask=torch.tensor([True] * 6 + KEPT_OF_VIDEO),
    )
    inputs = ModelInputs(
        input_ids=input_ids,
        position_ids=torch.arange(input_ids.shape[1])[None],
        visual=visual,
        visual_mask=torch.isin(input_ids, torch.tensor(placeholders)),
    )
    with torch.inference_mode():
        return model(inputs)


def our_greedy_tokens(model, input_ids, pixels, placeholders):
    for _ in range(NUM_NEW_TOKENS):
        best = our_logits(model, input_ids, pixels, placeholders)[:, -1].argmax(-1)
        input_ids = torch.cat((input_ids, best[:, None]), dim=1)
    return input_ids[0, -NUM_NEW_TOKENS:].tolist()


def their_inputs(input_ids, pixels):
    return {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "pixel_values": pixels[:6],
        "image_grid_thw": torch.tensor([IMAGE_GRID]),
        "image_merge_sizes": torch.tensor([1]),
        "pixel_values_videos": pixels[6:],
        "video_grid_thw": torch.tensor([VIDEO_GRID]),
        "video_merge_sizes": torch.tensor([2]),
        "video_compression_mask": torch.tensor(KEPT_OF_VIDEO),
    }


def their_logits(model, input_ids, pixels):
    with torch.inference_mode():
        return model(**their_inputs(input_ids, pixels)).logits


def their_greedy_tokens(model, input_ids, pixels):
    # Every new token counts, so none of them ends the answer.
    model.generation_config.eos_token_id = None
    with torch.inference_mode():
        ids = model.generate(
            **their_inputs(input_ids, pixels), do_sample=False, max_new_tokens=NUM_NEW_TOKENS, pad_token_id=0
        )
    return ids[0, -NUM_NEW_TOKENS:].tolist()


def load_theirs(folder):
    model, report = transformers.VideoLlama3ForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa", output_loading_info=True
    )
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    return model.eval()


def spread_out(model):
    """Random weights wide enough that every part of the network shows in the logits."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = parameter.ndim == 1 and name.endswith("weight")
            noise = torch.randn(parameter.shape, generator=generator) * (0.2 if parameter.ndim == 1 else 0.15)
            parameter.copy_(1 + noise if is_norm else noise)
    return model.eval()


@pytest.mark.parametrize("tied", [True, False], ids=["tied head", "own head"])
def test_our_weights_saved_for_transformers_answer_the_same_there(
    tied, processor, placeholders, input_ids, pixels, tmp_path
):
    ours = spread_out(VideoLLaMA3(tiny_config(tied=tied)))
    save(ours, processor, tmp_path / "saved", layout=Layout.TRANSFORMERS, max_shard_bytes=50_000)
    theirs = load_theirs(tmp_path / "saved")
    expected = our_logits(ours, input_ids, pixels, placeholders)
    torch.testing.assert_close(their_logits(theirs, input_ids, pixels), expected, atol=TOLERANCE, rtol=0)
    assert expected.std() > 0.5
    assert their_greedy_tokens(theirs, input_ids, pixels) == our_greedy_tokens(
        ours, input_ids, pixels, placeholders
    )


@pytest.fixture
def adapted():
    """A model whose updates of tower, connector and language model show in the logits."""
    ours = spread_out(VideoLLaMA3(tiny_config(tied=True)))
    names = ("vision_encoder.layers", "connector", "language_model")
    add_adapter(ours, Adapter(parts=names, rank=4, alpha=8))
    generator = torch.Generator().manual_seed(2)
    for name, parameter in ours.named_parameters():
        if ".lora_B." in name:
            parameter.data.normal_(std=0.1, generator=generator)
    return ours.eval()


def test_updates_folded_in_and_saved_for_transformers_answer_the_same_there(
    adapted, processor, placeholders, input_ids, pixels, tmp_path
):
    expected = our_logits(adapted, input_ids, pixels, placeholders)
    plain = our_logits(spread_out(VideoLLaMA3(tiny_config(tied=True))), input_ids, pixels, placeholders)
    assert (expected - plain).abs().max() > 0.5
    merge_adapter(adapted)
    save(adapted, processor, tmp_path / "saved", layout=Layout.TRANSFORMERS)
    actual = their_logits(load_theirs(tmp_path / "saved"), input_ids, pixels)
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=0)
    save(adapted, processor, tmp_path / "official")
    actual = our_logits(load_weights(tmp_path / "official"), input_ids, pixels, placeholders)
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=0)


def test_updates_saved_alone_are_read_by_peft_beside_the_model_of_transformers(
    adapted, processor, placeholders, input_ids, pixels, tmp_path
):
    peft = pytest.importorskip("peft")
    save_adapter(adapted, model_keymap(adapted.config, Layout.TRANSFORMERS), tmp_path / "adapter")
    plain = spread_out(VideoLLaMA3(tiny_config(tied=True)))
    save(plain, processor, tmp_path / "base", layout=Layout.TRANSFORMERS)
    theirs = peft.PeftModel.from_pretrained(load_theirs(tmp_path / "base"), tmp_path / "adapter").eval()
    expected = our_logits(adapted, input_ids, pixels, placeholders)
    torch.testing.assert_close(their_logits(theirs, input_ids, pixels), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("tied", [True, False], ids=["tied head", "own head"])
def test_weights_that_transformers_made_answer_the_same_here(
    tied, processor, placeholders, input_ids, pixels, tmp_path
):
    blank = spread_out(VideoLLaMA3(tiny_config(tied=tied)))
    save(blank, processor, tmp_path / "config", layout=Layout.TRANSFORMERS)
    config = transformers.AutoConfig.from_pretrained(tmp_path / "config")
    theirs = spread_out(transformers.VideoLlama3ForConditionalGeneration._from_config(config))
    theirs.save_pretrained(tmp_path / "saved")
    ours = load_weights(tmp_path / "saved")
    assert ours.config == tiny_config(tied=tied)
    actual = our_logits(ours, input_ids, pixels, placeholders)
    torch.testing.assert_close(actual, their_logits(theirs, input_ids, pixels), atol=TOLERANCE, rtol=0)
    assert our_greedy_tokens(ours, input_ids, pixels, placeholders) == their_greedy_tokens(
        theirs, input_ids, pixels
    )


def test_the_saved_template_writes_the_prompts_of_the_converted_checkpoints(processor, tmp_path, golden_dir):
    save(VideoLLaMA3(tiny_config(tied=True)), processor, tmp_path / "saved", layout=Layout.TRANSFORMERS)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    published = json.loads((golden_dir / "videollama3" / "prompts.json").read_text(encoding="utf-8"))["cases"]
    cases = [case for case in published if case["form"] == "transformers"]
    assert cases
    for case in cases:
        prompt = tokenizer.apply_chat_template(case["messages"], tokenize=False, **case["options"])
        assert prompt == case["expected"]


def test_the_saved_tokenizer_gives_transformers_our_ids(processor, tmp_path):
    save(VideoLLaMA3(tiny_config(tied=True)), processor, tmp_path / "saved", layout=Layout.TRANSFORMERS)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    text = "What is the cat doing at 2.5s?"
    assert theirs(text)["input_ids"] == processor.tokenizer.encode(text)
    assert theirs.eos_token_id == processor.tokenizer.special_id("<|im_end|>")
    assert theirs("<|im_start|>")["input_ids"] == [processor.tokenizer.special_id("<|im_start|>")]
