"""What training asks of the model beyond its forward pass."""

import numpy as np
import pytest
import torch

from kinema.models.videollama3 import checkpoint
from kinema.models.videollama3.processor_json import load_processor
from kinema.processors.messages import Conversation, ImagePart, Message, TextPart
from kinema.training.losses import NextToken


@pytest.fixture
def model(official_folder):
    return checkpoint.load_weights(official_folder).train()


@pytest.fixture(scope="module")
def processor(official_folder):
    return load_processor(official_folder)


def talk(*, num_images: int) -> Conversation:
    pixels = np.random.default_rng(0).integers(0, 256, (56, 84, 3), np.uint8)
    images = tuple(ImagePart(source=pixels) for _ in range(num_images))
    return Conversation(
        messages=(
            Message(role="user", parts=(*images, TextPart(text="How many?"))),
            Message(role="assistant", parts=(TextPart(text="As many as there are."),)),
        )
    )


def test_a_sample_that_is_cut_gives_what_its_beginning_gives_in_the_whole(model, processor):
    whole = processor(talk(num_images=2), with_labels=True)
    length = whole.input_ids.shape[1] - 3
    cut = processor.with_settings(max_length=length)(talk(num_images=2), with_labels=True)
    assert (cut.input_ids.shape[1], cut.num_cut) == (length, 1)
    with torch.inference_mode():
        expected = model.hidden_states(whole)[:, :length]
        torch.testing.assert_close(model.hidden_states(cut), expected, atol=1e-4, rtol=0)


def test_a_question_is_never_cut(processor):
    short = processor.with_settings(max_length=5)
    assert short(talk(num_images=1)).input_ids.shape[1] > 5


def test_images_past_the_cut_take_part_no_more(model, processor):
    answered = Conversation(messages=(*talk(num_images=1).messages, *talk(num_images=1).messages))
    first = processor(talk(num_images=1), with_labels=True)
    length = first.input_ids.shape[1]
    cut = processor.with_settings(max_length=length + 8)(answered, with_labels=True)
    assert int(cut.visual_mask.sum()) == int(cut.visual.keep_mask.sum())
    assert int(cut.visual_mask.sum()) < 2 * int(first.visual_mask.sum())
    with torch.inference_mode():
        expected = model.hidden_states(first)
        torch.testing.assert_close(model.hidden_states(cut)[:, :length], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_images", [0, 1])
def test_text_alone_needs_no_image_that_is_not_there(model, processor, num_images):
    NextToken()(model, processor(talk(num_images=num_images), with_labels=True)).backward()
    learned = {name.partition(".")[0] for name, value in model.named_parameters() if value.grad is not None}
    seeing = {"vision_encoder", "connector"} if num_images else set()
    assert learned == {"language_model"} | seeing
