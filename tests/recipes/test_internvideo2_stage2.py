from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_case import GoldenCase
from golden_stage2 import stage2_model

from kinema.datasets.joined import Joined
from kinema.errors import ConfigError
from kinema.models.internvideo2.stage2 import InternVideo2Stage2
from kinema.models.internvideo2.stage2_sizes import stage2_1b, stage2_6b
from kinema.processors.aligned import AlignedInputs
from kinema.processors.messages import Conversation
from kinema.processors.random_crops import AreaCrop
from kinema.processors.text_inputs import TextInputs
from kinema.recipes.internvideo2_stage2 import stage2_paper, stage2_released
from kinema.training.masked_words import WordMasking
from kinema.training.optimizer import build_optimizer


class Nothing:
    """Samples that nobody reads here."""

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        raise AssertionError


IMAGES_AND_VIDEOS = Joined(parts=((Nothing(), 20_480), (Nothing(), 24_575)))
DATA = Joined(parts=((Nothing(), 16_384),))


def parts_that_learn(model, stage):
    build_optimizer(model, stage.learning_rates, stage.optimizer)
    return {
        ".".join(name.split(".")[:2])
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def on_meta(config):
    with torch.device("meta"):
        return InternVideo2Stage2(config)


def test_the_released_1b_learns_all_but_the_decoders_of_stage_1():
    (stage,) = stage2_released("1b", IMAGES_AND_VIDEOS)
    learning = parts_that_learn(on_meta(stage2_1b()), stage)
    assert "vision_encoder.vision_encoder" in learning
    assert not any(name.startswith("vision_encoder.clip") for name in learning)
    assert (stage.batch_size, stage.num_steps) == (4096, 10 * (5 + 5))
    assert stage.loss.gradient == "local"
    assert stage.loss.weights == {"vtc": 1.0, "vtm": 1.0, "mlm": 1.0}


def test_the_1b_reads_32_tokens_of_a_caption_and_the_6b_40():
    (small,), (large,) = (stage2_released(size, IMAGES_AND_VIDEOS) for size in ("1b", "6b"))
    assert (small.processor["max_tokens"], large.processor["max_tokens"]) == (32, 40)
    assert all(stage.processor["max_tokens"] == 40 for stage in stage2_paper(DATA, DATA))


def test_the_first_step_of_the_paper_freezes_the_ears_and_the_second_the_eyes():
    masked, unmasked = stage2_paper(DATA, DATA)
    first, second = (parts_that_learn(on_meta(stage2_6b()), stage) for stage in (masked, unmasked))
    assert "vision_encoder.vision_encoder" in first - second
    assert "hearing.audio_encoder" in second - first
    assert first ^ second == {"vision_encoder.vision_encoder", "hearing.audio_encoder"}


def test_only_the_first_step_hides_patches_and_only_the_second_learns_from_sound_alone():
    masked, unmasked = (stage.loss for stage in stage2_paper(DATA, DATA))
    assert (masked.video_mask_ratio, masked.image_mask_ratio) == (0.8, 0.5)
    assert (unmasked.video_mask_ratio, unmasked.image_mask_ratio) == (0.0, 0.0)
    assert unmasked.weights.keys() - masked.weights.keys() == {"atc", "atm", "amlm"}
    assert masked.gradient == unmasked.gradient == "sum"


def test_every_step_crops_and_mirrors_and_changes_no_colour():
    for stage in (*stage2_released("1b", IMAGES_AND_VIDEOS), *stage2_paper(DATA, DATA)):
        augmentation = stage.processor["augmentation"]
        assert augmentation.crop == AreaCrop(min_area=0.5, resampling="bicubic")
        assert augmentation.flip_share == 0.5
        assert augmentation.rand_augment is augmentation.erasing is None


def test_the_unmasked_step_runs_on_a_model_that_hears(golden_dir):
    case = GoldenCase(golden_dir / "internvideo2/C_stage2_audiovisual")
    _, unmasked = stage2_paper(DATA, DATA)
    model = stage2_model(case)
    build_optimizer(model, unmasked.learning_rates, unmasked.optimizer)
    inputs = AlignedInputs(
        pixel_values=case.inputs["video"],
        audio_features=case.inputs["audio"],
        captions={
            name: TextInputs(
                input_ids=case.inputs[f"{name}_caption.input_ids"],
                attention_mask=case.inputs[f"{name}_caption.attention_mask"].bool(),
            )
            for name in ("video", "audio", "av", "avs")
        },
        ids=case.inputs["idx"],
    )
    masking = WordMasking(vocab_size=case.config["text"]["vocab_size"])
    replace(unmasked.loss, masking=masking)(model, inputs).backward()
    assert model.hearing.audio_encoder.layers[0].mlp.fc1.weight.grad is not None
    assert model.vision_encoder.vision_encoder.encoder.class_token.grad is None


def test_the_unmasked_step_tells_clips_with_their_sound_by_what_is_seen_and_heard():
    _, unmasked = stage2_paper(DATA, DATA)
    read = {name: unmasked.loss.captions[name] for name in ("vtc", "atc", "avtc", "avtm", "avmlm")}
    assert read == {"vtc": "video", "atc": "audio", "avtc": "av", "avtm": "av", "avmlm": "av"}


def test_clips_that_are_told_by_all_that_is_said_need_no_other_caption(golden_dir):
    """V with T_VAS, a pair of the paper's unmasked step: its batches have one set of captions."""
    case = GoldenCase(golden_dir / "internvideo2/C_stage2_audiovisual")
    _, unmasked = stage2_paper(DATA, DATA)
    text = TextInputs(
        input_ids=case.inputs["avs_caption.input_ids"],
        attention_mask=case.inputs["avs_caption.attention_mask"].bool(),
    )
    inputs = AlignedInputs(pixel_values=case.inputs["video"], captions={"avs": text}, ids=case.inputs["idx"])
    masking = WordMasking(vocab_size=case.config["text"]["vocab_size"])
    terms = replace(unmasked.loss, masking=masking).terms(stage2_model(case), inputs)
    assert set(terms) == {"vtc", "vtm", "mlm"}


def test_a_size_that_was_not_trained_is_refused():
    with pytest.raises(ConfigError, match="1b, 6b"):
        stage2_released("2b", DATA)
