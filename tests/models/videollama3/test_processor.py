import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from kinema.errors import ConfigError, InputError
from kinema.media.frames import FrameBatch
from kinema.models.videollama3.processor import (
    SYSTEM_PROMPT,
    VideoLLaMA3Processor,
    VideoLLaMA3ProcessorConfig,
)
from kinema.processors.messages import Conversation, ImagePart, Message, TextPart, VideoPart
from kinema.processors.pruning import LastKeptPruning, NoPruning, PreviousFramePruning
from kinema.processors.resize import OfficialResize, TransformersResize
from kinema.processors.tokenizer import TextTokenizer

QUESTION = TextPart(text="What is the cat doing?")


@pytest.fixture(scope="module")
def golden(golden_dir):
    return golden_dir / "videollama3"


@pytest.fixture(scope="module")
def tokenizer(golden):
    return TextTokenizer(Tokenizer.from_file(str(golden / "tokenizer/tokenizer.json")))


@pytest.fixture(scope="module")
def processor(tokenizer):
    return VideoLLaMA3Processor(tokenizer, VideoLLaMA3ProcessorConfig(resize=OfficialResize(min_tokens=1)))


def frames(*levels, size=(56, 56), pts_s=None):
    """A clip of one-coloured frames, a second apart."""
    data = np.stack([np.full((*size, 3), level, np.uint8) for level in levels])
    times = np.arange(len(levels), dtype=np.float64) if pts_s is None else np.array(pts_s)
    return FrameBatch(data=data, pts_s=times, duration_s=float(len(levels)))


def picture(level=0, size=(28, 28)):
    return np.full((*size, 3), level, np.uint8)


def user(*parts):
    return Message(role="user", parts=parts)


def stream(num_frames, size=(56, 56)):
    """Frames of one colour, a second apart."""
    parts = [ImagePart(source=picture(9, size), time_s=float(second)) for second in range(num_frames)]
    return [Message(role="stream", parts=(part,)) for part in parts]


def assistant(text):
    return Message(role="assistant", parts=(TextPart(text=text),))


def said(*messages):
    return Conversation(messages=messages)


def golden_conversation(messages, tensors):
    turns = []
    for message in messages:
        content = message["content"]
        parts = []
        for element in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if element["type"] == "text":
                parts.append(TextPart(text=element["text"]))
            elif element["type"] == "image":
                parts.append(ImagePart(source=tensors["uint8.image"].numpy()))
            else:
                data = tensors["uint8.frames"].numpy()
                batch = FrameBatch(data=data, pts_s=np.array(element["timestamps"]), duration_s=60.0)
                parts.append(VideoPart(source=batch))
        turns.append(Message(role=message["role"], parts=tuple(parts)))
    return Conversation(messages=tuple(turns))


def golden_cases(golden):
    """Cases whose raw pixels are stored, so that everything follows from the messages."""
    for name, case in json.loads((golden / "full_model/cases.json").read_text())["cases"].items():
        tensors = load_file(golden / f"full_model/{name}.safetensors")
        if len(case["messages"]) == 1 and any(key.startswith("uint8.") for key in tensors):
            (messages,) = case["messages"]
            yield name, case, tensors, golden_conversation(messages, tensors)


def golden_config(case, compat="official"):
    pruning = PreviousFramePruning() if case["use_token_compression"] else NoPruning()
    resize = (TransformersResize if compat == "transformers" else OfficialResize)(min_tokens=1)
    return VideoLLaMA3ProcessorConfig.for_compat(compat, pruning=pruning, resize=resize)


def test_raw_frames_and_messages_become_the_official_inputs(golden, tokenizer):
    seen = 0
    for name, case, tensors, conversation in golden_cases(golden):
        processor = VideoLLaMA3Processor(tokenizer, golden_config(case))
        inputs = processor(conversation, with_labels=True)
        after = "_after" if "input_ids_after" in tensors else ""
        assert torch.equal(inputs.input_ids[0], tensors[f"input_ids{after}"]), name
        assert torch.equal(inputs.labels[0], tensors[f"labels{after}"]), name
        assert torch.equal(inputs.visual.pixel_values, tensors["pixel_values"]), name
        assert torch.equal(inputs.visual.grid_thw, tensors["grid_thw"]), name
        assert torch.equal(inputs.visual.merge_sizes, tensors["merge_sizes"]), name
        if "keep_mask" in tensors:
            assert torch.equal(inputs.visual.keep_mask, tensors["keep_mask"]), name
            assert torch.equal(inputs.position_ids[0], tensors["position_ids_after"]), name
        seen += 1
    assert seen


def test_raw_frames_and_messages_become_the_inputs_of_transformers(golden, tokenizer):
    stored = load_file(golden / "full_model/transformers_inputs.safetensors")
    for name, case, tensors, conversation in golden_cases(golden):
        processor = VideoLLaMA3Processor(tokenizer, golden_config(case, "transformers"))
        inputs = processor(conversation, with_labels=True)
        assert torch.equal(inputs.input_ids[0], stored[f"{name}.input_ids"]), name
        assert torch.equal(inputs.labels[0], stored[f"{name}.labels"]), name
        prompt = Conversation(messages=conversation.messages[:-1])
        prompt_ids = processor(prompt, add_generation_prompt=True).input_ids[0]
        assert torch.equal(prompt_ids, stored[f"{name}.prompt_ids"]), name
        assert torch.equal(inputs.visual.pixel_values, tensors["pixel_values"]), name


def test_a_pruned_video_has_a_placeholder_for_every_kept_token_and_all_its_times(processor):
    prepared = processor.prepare(said(user(VideoPart(source=frames(9, 9, 200)), QUESTION)))
    assert prepared.items[0].tokens_per_frame == (4, 1, 4)
    assert "Time 0.0s:<image><image><image><image>,Time 1.0s:<image>,Time 2.0s:<image>" in prepared.text
    assert int(prepared.sample.visual_mask.sum()) == 9
    assert prepared.sample.visual.keep_mask.tolist() == [True] * 5 + [False] * 3 + [True] * 4


def test_videos_are_pruned_in_a_batch_as_they_are_alone(processor):
    still, moving = (said(user(VideoPart(source=frames(*levels)), QUESTION)) for levels in ((9, 9), (9, 99)))
    batch = processor([still, moving])
    assert batch.visual_mask.sum(-1).tolist() == [5, 8]
    alone = processor(still)
    length = alone.input_ids.shape[1]
    assert torch.equal(batch.input_ids[0, :length], alone.input_ids[0])
    assert batch.attention_mask[0].sum() == length


def test_positions_have_no_gaps_where_tokens_were_pruned(processor):
    inputs = processor(said(user(VideoPart(source=frames(9, 9)))))
    assert inputs.position_ids[0].tolist() == list(range(inputs.input_ids.shape[1]))


def test_packed_conversations_stand_in_one_row(processor):
    one = said(user(ImagePart(source=picture()), QUESTION), assistant("It sleeps."))
    other = said(user(TextPart(text="Hi")), assistant("Hello!"))
    inputs = processor([one, other], with_labels=True, pack=True)
    assert inputs.input_ids.shape[0] == 1
    assert sum(inputs.segment_lengths) == inputs.input_ids.shape[1]
    assert (inputs.position_ids[0] == 0).sum() == 2


def test_media_stand_in_the_order_of_their_placeholders(processor):
    conversation = said(
        user(ImagePart(source=picture(10)), VideoPart(source=frames(20)), ImagePart(source=picture(30)))
    )
    items = processor.prepare(conversation).items
    assert [item.kind for item in items] == ["image", "video", "image"]
    assert [item.merge_size for item in items] == [1, 2, 1]


def test_the_frames_of_a_stream_are_one_pruned_video(processor):
    prepared = processor.prepare(said(*stream(3), assistant("Nothing moves.")))
    (item,) = prepared.items
    assert (item.kind, item.grid_thw, item.tokens_per_frame) == ("video", (3, 4, 4), (4, 1, 1))
    assert "Time 1.0s: <image>\n<|stream_end|><|stream_start|>" in prepared.text


def test_a_picture_in_between_divides_a_stream_in_two(processor):
    asks = user(ImagePart(source=picture(1, (56, 56))), QUESTION)
    items = processor.prepare(said(*stream(2), asks, *stream(1))).items
    assert [(item.kind, item.grid_thw[0]) for item in items] == [("video", 2), ("image", 1), ("video", 1)]


def test_the_published_processor_takes_a_streams_frames_for_images(tokenizer):
    config = VideoLLaMA3ProcessorConfig(stream_frames="image", resize=OfficialResize(min_tokens=1))
    items = VideoLLaMA3Processor(tokenizer, config).prepare(said(*stream(2))).items
    assert [(item.kind, item.tokens_per_frame) for item in items] == [("image", (16,)), ("image", (16,))]


def test_a_range_of_decoded_frames_is_cut_by_its_times(processor):
    part = VideoPart(source=frames(1, 2, 3, 4), start_s=1.0, end_s=3.0)
    assert processor.prepare(said(user(part))).items[0].times_s == (1.0, 2.0)


def test_decoded_frames_cannot_be_sampled_again(processor):
    with pytest.raises(InputError, match="chosen already"):
        processor(said(user(VideoPart(source=frames(1, 2), fps=2.0))))


def test_rendering_shows_one_placeholder_a_frame(processor):
    conversation = said(user(VideoPart(source=frames(9, 9)), QUESTION))
    assert processor.render(conversation, add_generation_prompt=True) == (
        "<|im_start|>user\nTime 0.0s:<image>,Time 1.0s:<image>\nWhat is the cat doing?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_system_prompt_is_said_first_unless_the_turns_continue_others(tokenizer):
    config = VideoLLaMA3ProcessorConfig(system_prompt=SYSTEM_PROMPT)
    processor = VideoLLaMA3Processor(tokenizer, config)
    conversation = said(user(TextPart(text="Hi")))
    assert processor.prepare(conversation).text.startswith(f"<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n")
    assert processor.prepare(conversation, continues=True).text == "<|im_start|>user\nHi<|im_end|>\n"


def test_what_the_model_sees_can_be_looked_at(processor):
    visuals = processor.encode_video(VideoPart(source=frames(9, 9)))
    seen = visuals.frames(0)
    assert seen.shape == (2, 56, 56, 3)
    assert np.unique(seen[0]).tolist() == [9]
    assert np.unique(seen[1, :28, :28]).tolist() == [9]
    assert np.unique(seen[1, 28:]).tolist() == [128]


def test_another_pruning_rule_is_a_setting(tokenizer):
    drift = VideoPart(source=frames(0, 2, 4, 6))
    config = VideoLLaMA3ProcessorConfig(
        resize=OfficialResize(min_tokens=1), pruning=LastKeptPruning(threshold_levels=3.0)
    )
    (item,) = VideoLLaMA3Processor(tokenizer, config).prepare(said(user(drift))).items
    assert item.tokens_per_frame == (4, 1, 3, 1)  # the first block was forced a frame earlier


def test_frames_of_a_stream_that_change_their_size_are_refused(processor):
    with pytest.raises(InputError, match="need one size"):
        processor(said(*stream(1, size=(56, 56)), *stream(1, size=(56, 84))))


def test_pixels_of_another_type_are_refused(processor):
    with pytest.raises(InputError, match=r"uint8 \(H, W, 3\), got float64"):
        processor(said(user(ImagePart(source=np.zeros((28, 28, 3))))))


def test_an_unknown_compat_mode_is_refused():
    with pytest.raises(ConfigError, match="official, training, transformers"):
        VideoLLaMA3ProcessorConfig.for_compat("newest")
