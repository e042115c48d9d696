from dataclasses import replace

import pytest
import torch
from golden_video_llava import as_user, read_record

from kinema.errors import ConfigError, InputError, ModelWarning
from kinema.models.languagebind.config import Modality
from kinema.models.video_llava.processor import VideoLLaVAProcessorConfig
from kinema.models.video_llava.processor_json import fitted_settings
from kinema.processors.labels import IGNORE_INDEX
from kinema.processors.messages import Conversation, Message, TextPart
from kinema.training.losses import NextToken

ASKED = [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": "A man."}]


@pytest.fixture(scope="module")
def visual_tokens(cases):
    assert cases["num_frames"] == 8
    return cases["visual_tokens"]


def labels_of(inputs):
    return inputs.labels[inputs.labels != IGNORE_INDEX].tolist()


def test_the_answer_and_its_end_carry_the_loss(loaded, visual_tokens):
    inputs = loaded.processor(read_record(ASKED, 8), with_labels=True)
    tokenizer = loaded.processor.tokenizer
    assert labels_of(inputs) == [*tokenizer.encode("A man."), tokenizer.special_id("</s>")]
    assert int(inputs.visual_mask.sum()) == inputs.visual.num_tokens == visual_tokens["per_video_cls_kept"]


def test_a_sample_without_an_answer_is_an_error(loaded):
    open_turn = read_record([*ASKED[:1], {"from": "gpt", "value": ""}], 8)
    with pytest.raises(InputError, match="without an answer has no label"):
        loaded.processor(open_turn, with_labels=True)


def test_the_official_rule_says_what_it_loses(loaded):
    official = loaded.processor.with_settings(label_rule="official")
    assert labels_of(official(read_record(ASKED, 8), with_labels=True)) == labels_of(
        loaded.processor(read_record(ASKED, 8), with_labels=True)
    )
    lost = read_record([*ASKED[:1], {"from": "gpt", "value": "He says ASSISTANT: yes."}], 8)
    with pytest.warns(ModelWarning, match="lost all its labels, as in the original .tokenization mismatch"):
        assert labels_of(official(lost, with_labels=True)) == []
    assert labels_of(loaded.processor(lost, with_labels=True))


def test_the_official_rule_refuses_texts_that_it_would_miscount(loaded):
    official = loaded.processor.with_settings(label_rule="official")
    marked = Conversation(
        messages=(
            *as_user(TextPart(text="What is <image>?")).messages,
            Message(role="assistant", parts=(TextPart(text="A marker."),)),
        )
    )
    with pytest.raises(InputError, match="a text holds a marker or a special token"):
        official(marked, with_labels=True)


def test_special_strings_are_words_unless_the_original_is_wanted(loaded):
    said = as_user(TextPart(text="One</s>Two"))
    end = loaded.processor.tokenizer.special_id("</s>")
    assert end not in loaded.processor(said).input_ids
    assert end in loaded.processor.with_settings(special_strings="tokens")(said).input_ids


def test_presets_differ_where_the_originals_do(loaded, visual_tokens):
    tokens = {}
    for compat in ("official", "cls_dropped", "transformers"):
        config = VideoLLaVAProcessorConfig.for_compat(compat, pixels=loaded.processor.config.pixels)
        processor = type(loaded.processor)(loaded.processor.tokenizer, config)
        tokens[compat] = processor.prepare(read_record(ASKED[:1], 8), add_generation_prompt=True)
    kept = visual_tokens["per_video_cls_kept"]
    assert tokens["official"].visuals.items[0].num_tokens == kept
    assert tokens["cls_dropped"].visuals.items[0].num_tokens == visual_tokens["per_video_cls_dropped"]
    assert tokens["transformers"].text == "<s>USER: " + "<video>" * kept + "\nWhat? ASSISTANT:"
    assert tokens["official"].text.startswith("<s>A chat between a curious user")
    with pytest.raises(
        ConfigError, match="no compat mode 'port'; there are: official, cls_dropped, transformers"
    ):
        VideoLLaVAProcessorConfig.for_compat("port")


def test_as_many_frames_are_read_as_the_tower_sees_together(loaded):
    towers = loaded.model.config.towers
    wide = replace(towers[Modality.VIDEO], num_frames=16)
    config = replace(loaded.model.config, towers={**towers, Modality.VIDEO: wide})
    settings = fitted_settings(loaded.processor.config, config)
    assert (settings.window, settings.reading.max_frames) == (16, 16)


def test_times_of_frames_stand_before_them(loaded, visual_tokens):
    template = replace(loaded.processor.config.template, frame_times=True)
    timed = loaded.processor.with_settings(template=template)
    prepared = timed.prepare(read_record(ASKED, 8))
    kept = visual_tokens["per_video_cls_kept"]
    assert "Time 0.0s:" + "<video>" * (kept // 8) + "Time 1.0s:" in prepared.text
    assert int(prepared.sample.visual_mask.sum()) == kept


def test_a_pack_gives_the_loss_of_its_samples(loaded):
    talks = [read_record(ASKED, 8), read_record([{**ASKED[0], "value": "Why?"}, ASKED[1]], 8)]
    packed = loaded.processor(talks, with_labels=True, pack=True)
    batch = loaded.processor(talks, with_labels=True)
    assert packed.segment_lengths is not None
    with torch.inference_mode():
        losses = [NextToken()(loaded.model, inputs) for inputs in (packed, batch)]
    torch.testing.assert_close(*losses, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"patch_size": 15}, "not made of whole patches"), ({"window": 0}, "window must be at least 1")],
)
def test_settings_that_cannot_work_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        VideoLLaVAProcessorConfig(**change)
