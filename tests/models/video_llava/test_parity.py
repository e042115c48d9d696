"""Our Video-LLaVA against the original's numbers, golden set F; tolerances are those of its README."""

from dataclasses import replace

import pytest
import torch
from golden_video_llava import make_inputs, official_pixels, prompt, read_record
from safetensors.torch import load_file

from kinema.errors import InputError
from kinema.inference.cache import GrowingCache
from kinema.processors.labels import IGNORE_INDEX
from kinema.processors.tower_inputs import TowerInputs
from kinema.training.losses import NextToken

VARIANTS = {"cls_kept": True, "cls_dropped": False}


def close(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-5)


@pytest.fixture(scope="module")
def mixed(golden):
    return load_file(golden / "video_llava_mixed.cases.safetensors")


@pytest.fixture
def batch(loaded, cases, tensors):
    """Makes the inputs of a batch of the golden set; ``changes`` are settings of the processor."""

    def make(name, variant, **changes):
        case = cases["batches"][name]
        processor = loaded.processor.with_settings(video_class_token=VARIANTS[variant], **changes)
        conversations = [read_record(turns, cases["num_frames"]) for turns in case["conversations"]]
        pixels = [
            tensors[f"pixels.{sample}.{number}"]
            for sample in case["samples"]
            for number in range(len([key for key in tensors if key.startswith(f"pixels.{sample}.")]))
        ]
        return make_inputs(processor, conversations, pixels)

    return make


def check_merged(loaded, inputs, expected):
    """What the original has after merging, our processor writes; the model puts features in place."""
    is_real = expected["attention_mask"]
    ours = torch.ones_like(is_real) if inputs.attention_mask is None else inputs.attention_mask
    assert torch.equal(ours, is_real)
    assert torch.equal(inputs.labels, expected["labels"])
    assert torch.equal(inputs.position_ids, expected["position_ids"])
    if "inputs_embeds" in expected:
        with torch.inference_mode():
            embeds = loaded.model.embed(inputs)
        close(embeds[is_real], expected["inputs_embeds"][is_real])


def under(tensors, prefix):
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


@torch.inference_mode()
def test_features_of_both_towers_before_and_after_the_projector(loaded, tensors):
    for modality in ("image", "video"):
        pixels = official_pixels(tensors[f"pixels.{modality}.0"])[None]
        tower = loaded.model.vision_encoder[modality]
        states = tower.encode(pixels, layer=loaded.model.config.select_layer)
        expected = tensors[f"features.{modality}.tower"]
        close(states[0, :, 1:] if modality == "image" else states, expected)
        close(loaded.model.connector(expected), tensors[f"features.{modality}.projected"])


@pytest.mark.parametrize(
    ("name", "variant", "key"),
    [
        ("image", "cls_kept", "image."),
        ("video", "cls_kept", "video.cls_kept."),
        ("video", "cls_dropped", "video.cls_dropped."),
        ("text_only", "cls_kept", "text_only."),
    ],
)
def test_one_sample(loaded, batch, tensors, name, variant, key):
    inputs = batch(name, variant)
    check_merged(loaded, inputs, under(tensors, f"{key}merged."))
    check_logits(loaded, inputs, tensors, key)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_of_images_videos_and_text(loaded, batch, mixed, variant):
    inputs = batch("mixed", variant)
    check_merged(loaded, inputs, under(mixed, f"{variant}.merged."))
    check_logits(loaded, inputs, mixed, f"{variant}.")


def test_a_batch_padded_on_the_left(loaded, batch, mixed):
    inputs = batch("mixed", "cls_kept", padding_side="left")
    check_merged(loaded, inputs, under(mixed, "cls_kept.left_padding.merged."))
    torch.testing.assert_close(
        NextToken()(loaded.model, inputs), mixed["cls_kept.loss"], atol=2e-5, rtol=1e-5
    )


def test_samples_cut_as_the_original_cuts_them(loaded, batch, cases, mixed):
    length = cases["batches"]["mixed"]["truncated_max_length"]
    inputs = batch("mixed", "cls_kept", max_length=length, label_rule="official")
    check_merged(loaded, inputs, under(mixed, "cls_kept.truncated.merged."))
    loss = NextToken()(loaded.model, inputs)
    torch.testing.assert_close(loss, mixed["cls_kept.truncated.loss"], atol=2e-5, rtol=1e-5)
    with pytest.raises(InputError, match=f"no label among its first {length}"):
        batch("mixed", "cls_kept", max_length=length)


def check_logits(loaded, inputs, expected, key):
    with torch.inference_mode():
        logits = loaded.model(inputs)
        loss = NextToken()(loaded.model, inputs)
    if f"{key}logits" in expected:
        close(logits, expected[f"{key}logits"])
    if f"{key}logits_predicting_labels" in expected:
        predicts = inputs.labels[:, 1:] != IGNORE_INDEX
        close(logits[:, :-1][predicts], expected[f"{key}logits_predicting_labels"])
    torch.testing.assert_close(loss, expected[f"{key}loss"], atol=2e-5, rtol=1e-5)


def test_greedy_tokens_and_their_logits(loaded, golden, cases, tensors):
    steps = load_file(golden / "video_llava_generation.cases.safetensors")
    for name, case in cases["generation"].items():
        variant = name.partition(".")[2] or "cls_kept"
        system = case["prompt"].partition(" USER:")[0]
        template = replace(loaded.processor.config.template, system=system)
        processor = loaded.processor.with_settings(video_class_token=VARIANTS[variant], template=template)
        conversation = prompt(case["prompt"], cases["num_frames"])
        inputs = make_inputs(processor, [conversation], [tensors[case["pixels"]]], with_labels=False)
        tokens, logits = generate(loaded.model, inputs, len(case["generated_ids"]))
        assert tokens == case["generated_ids"]
        close(logits, steps[f"{name}.step_logits"])


@torch.inference_mode()
def generate(model, inputs, num_new):
    cache = GrowingCache(model.config.language)
    logits, tokens = [model(inputs, cache=cache)[0, -1]], []
    while True:
        tokens.append(int(logits[-1].argmax()))
        if len(tokens) == num_new:
            return tokens, torch.stack(logits)
        decoder, position = model.language_model, torch.tensor([[cache.length]])
        states = decoder(decoder.embed(torch.tensor([tokens[-1:]])), position, cache=cache)
        logits.append(decoder.logits(states)[0, -1])


def test_features_in_small_parts_are_the_same(loaded, cases, tensors):
    visual = TowerInputs(items=tuple(loaded_items(loaded, cases, tensors)))
    with torch.inference_mode():
        close(loaded.model.encode_visual(visual, max_patches=1), loaded.model.encode_visual(visual))


def loaded_items(loaded, cases, tensors):
    turns = [{"from": "human", "value": "<image><video><image><video>"}]
    conversation = read_record(turns, cases["num_frames"])
    items = loaded.processor(conversation).visual.items
    pixels = [tensors[f"pixels.{name}.0"] for name in ("image", "video", "two_images", "video_and_image")]
    for item, values in zip(items, pixels, strict=True):
        yield replace(item, pixel_values=official_pixels(values))
