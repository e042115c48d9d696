"""The objectives of stage 2 against the original's numbers, and what holds for any."""

from dataclasses import replace

import pytest
import torch
from golden_case import GoldenCase
from golden_stage2 import stage2_model
from torch.nn import functional as F

from kinema.errors import ConfigError, DataError, InputError
from kinema.models.internvideo2.stage2_keys import stage2_keymap
from kinema.processors.aligned import AlignedInputs
from kinema.processors.text_inputs import TextInputs
from kinema.training.alignment import TERMS, Alignment, Choices
from kinema.training.contrastive import symmetric_info_nce
from kinema.training.masked_words import MaskedWords, WordMasking
from kinema.training.negatives import Negatives, negative_weights


@pytest.fixture(scope="module")
def visual(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/C_stage2_visual")


@pytest.fixture(scope="module")
def hearing(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/C_stage2_audiovisual")


def caption(case, prefix=""):
    ids, mask = (case.inputs[f"{prefix}{name}"] for name in ("input_ids", "attention_mask"))
    return TextInputs(input_ids=ids, attention_mask=mask.bool())


def loss_of(case, **changes):
    weights = {name: weight for name, weight in case.config["loss_weight"].items() if name in TERMS}
    return Alignment(weights=weights, captions=case.config.get("loss_caption", {}), **changes)


def choices_of(case, step):
    """The random choices that a case made in a step."""
    given = {
        key.removeprefix(f"{step}."): value for key, value in case.inputs.items() if key.startswith(step)
    }
    media = "media" if "atm_head.bias" in case.weights() else "video"
    mask = given.get("visual_mask")
    return Choices(
        keep_mask=None if mask is None else F.pad(~mask, (1, 0), value=True),
        negatives={
            name: Negatives(media=given[f"{name}_{media}_negative"], text=given[f"{name}_text_negative"])
            for name in TERMS
            if f"{name}_text_negative" in given
        },
        words={
            name: MaskedWords(input_ids=given[f"{name}_input_ids"], labels=given[f"{name}_labels"])
            for name in TERMS
            if f"{name}_labels" in given
        },
    )


def check_step(case, step, inputs):
    """Every loss of a step, their sum, and every gradient that is stored."""
    model, loss = stage2_model(case), loss_of(case)
    terms = loss.terms(model, inputs, choices_of(case, step))
    stored = {key.split(".loss_")[1] for key in case.outputs if key.startswith(f"{step}.loss_")} - {"total"}
    names = {"amlm": "mlm"} if step == "audio_step" else {}
    assert {names.get(name, name) for name in terms} == stored
    for name, value in terms.items():
        case.check(value, f"{step}.loss_{names.get(name, name)}")
    total = sum(loss.weights[name] * value for name, value in terms.items())
    case.check(total, f"{step}.loss_total")
    total.backward()
    ours = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in model.named_parameters()
    }
    theirs = dict(stage2_keymap(model.config).export(ours))
    for key in case.outputs:
        if key.startswith(f"{step}.grad."):
            case.check(theirs[key.removeprefix(f"{step}.grad.")], key)


@pytest.mark.parametrize("kind", ["video", "image"])
def test_a_step_of_the_visual_model_equals_the_original(visual, kind):
    inputs = AlignedInputs(
        pixel_values=visual.inputs[kind], captions={"video": caption(visual)}, ids=visual.inputs["idx"]
    )
    check_step(visual, f"{kind}_step", inputs)


@pytest.mark.parametrize("kind", ["video", "image", "audio"])
def test_a_step_of_one_kind_of_media_equals_the_original(hearing, kind):
    name = "audio" if kind == "audio" else "video"
    inputs = AlignedInputs(
        pixel_values=None if kind == "audio" else hearing.inputs[kind],
        audio_features=hearing.inputs["audio"] if kind == "audio" else None,
        captions={name: caption(hearing, f"{name}_caption.")},
        ids=hearing.inputs["idx"],
    )
    check_step(hearing, f"{kind}_step", inputs)


@pytest.mark.parametrize(
    ("step", "names"),
    [
        ("audio_video_one_caption_step", ["avs"]),
        ("audio_video_multi_caption_step", ["video", "audio", "av", "avs"]),
    ],
)
def test_a_step_of_video_with_sound_equals_the_original(hearing, step, names):
    inputs = AlignedInputs(
        pixel_values=hearing.inputs["video"],
        audio_features=hearing.inputs["audio"],
        captions={name: caption(hearing, f"{name}_caption.") for name in names},
        ids=hearing.inputs["idx"],
    )
    check_step(hearing, step, inputs)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["video", "image"])
def test_weights_of_negatives_equal_the_original(visual, kind):
    model, ids = stage2_model(visual), visual.inputs["idx"]
    keep_mask = choices_of(visual, f"{kind}_step").keep_mask
    video = F.normalize(model.see(visual.inputs[kind], keep_mask).projection, dim=-1)
    text = model.embed_text(visual.inputs["input_ids"], visual.inputs["attention_mask"])
    similarity = video @ text.T / model.temperature
    visual.check(negative_weights(similarity, ids), f"{kind}_step.vtm_weights_v2t")
    visual.check(negative_weights(similarity.T, ids), f"{kind}_step.vtm_weights_t2v")


@torch.no_grad()
def test_contrast_without_a_mask_equals_the_original(visual):
    model = stage2_model(visual)
    video = model.embed_pixels(visual.inputs["video"])
    text = model.embed_text(visual.inputs["input_ids"], visual.inputs["attention_mask"])
    for ids, name in ((visual.inputs["idx"], "vtc_loss_no_mask"), (None, "vtc_loss_no_mask_without_ids")):
        visual.check(symmetric_info_nce(video, text, 1 / model.temperature, ids).loss, name)


def test_the_temperature_is_held_as_in_the_original(visual):
    model, inputs = stage2_model(visual), some_inputs(visual)
    for before, after in zip(
        visual.config["temp_clamp_inputs"], visual.outputs["temp_after_clamp"], strict=True
    ):
        model.temperature.data.fill_(before)
        Alignment(weights={"vtc": 1.0})(model, inputs)
        assert model.temperature.item() == after


def some_inputs(case, **changes):
    inputs = AlignedInputs(
        pixel_values=case.inputs["video"], captions={"video": caption(case)}, ids=case.inputs["idx"]
    )
    return replace(inputs, **changes)


def test_rows_of_one_id_share_their_target():
    unit = torch.eye(2)[[0, 0]]
    alike = symmetric_info_nce(unit, unit, torch.tensor(1.0), torch.tensor([3, 3])).loss
    assert alike.item() == pytest.approx(torch.tensor(2.0).log().item())


def test_what_is_not_given_is_drawn_anew_each_time(visual):
    masking = WordMasking(vocab_size=visual.config["text"]["vocab_size"])
    model, inputs, loss = stage2_model(visual), some_inputs(visual), Alignment(masking=masking)
    torch.manual_seed(0)
    first, second = loss(model, inputs), loss(model, inputs)
    torch.manual_seed(0)
    assert loss(model, inputs) == first != second


def test_without_mask_ratios_every_patch_is_seen(visual):
    model, inputs = stage2_model(visual), some_inputs(visual)
    unmasked = Alignment(weights={"vtc": 1.0}, video_mask_ratio=0.0)
    visual.check(unmasked(model, inputs), "vtc_loss_no_mask")


def test_a_batch_of_one_cannot_be_matched(visual):
    lone = some_inputs(
        visual,
        pixel_values=visual.inputs["video"][:1],
        captions={"video": caption_rows(caption(visual), 1)},
        ids=visual.inputs["idx"][:1],
    )
    with pytest.raises(DataError, match="two different ids"):
        Alignment()(stage2_model(visual), lone)


def caption_rows(text, count):
    return TextInputs(input_ids=text.input_ids[:count], attention_mask=text.attention_mask[:count])


def test_terms_of_media_that_are_not_there_are_an_error_only_where_none_is_left(visual):
    model, inputs = stage2_model(visual), some_inputs(visual)
    assert Alignment(weights={"vtc": 1.0, "atc": 1.0}).terms(model, inputs).keys() == {"vtc"}
    with pytest.raises(DataError, match="a batch of video, but weights are of atc"):
        Alignment(weights={"atc": 1.0})(model, inputs)


def test_a_term_that_does_not_know_its_captions_says_so(visual):
    text = caption(visual)
    inputs = some_inputs(visual, captions={"video": text, "avs": text})
    with pytest.raises(DataError, match="vtc: which captions of video, avs"):
        Alignment(weights={"vtc": 1.0})(stage2_model(visual), inputs)


def test_captions_without_words_cannot_be_masked(visual):
    ids = torch.tensor([[101, 0]] * len(visual.inputs["idx"]))
    empty = some_inputs(visual, captions={"video": TextInputs(input_ids=ids, attention_mask=ids > 0)})
    with pytest.raises(DataError, match="not one word"):
        Alignment(weights={"mlm": 1.0})(stage2_model(visual), empty)


@pytest.mark.parametrize(
    "changes",
    [{"weights": {}}, {"weights": {"clip": 1.0}}, {"captions": {"x": "video"}}, {"video_mask_ratio": 1.0}],
)
def test_settings_that_mean_nothing_are_refused(changes):
    with pytest.raises(ConfigError):
        Alignment(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"pixel_values": None}, {"captions": {}}, {"ids": torch.arange(99)}],
    ids=["media", "text", "ids"],
)
def test_batches_that_do_not_belong_together_are_refused(visual, changes):
    with pytest.raises(InputError, match="a batch needs"):
        some_inputs(visual, **changes)
