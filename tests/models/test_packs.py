"""A sample in a pack is what it is alone, in each family that writes; what it shows included."""

import golden_video_llava
import numpy as np
import pytest
import torch
from chat_pieces import letter_pieces
from golden_case import GoldenCase
from golden_chat import chat_config, chat_model

from kinema.media.frames import FrameBatch
from kinema.models.internvideo2.chat_processor import ChatProcessor, ChatProcessorConfig
from kinema.models.registry import find_checkpoint
from kinema.models.video_llava import checkpoint as video_llava_checkpoint
from kinema.models.videollama3 import checkpoint as videollama3_checkpoint
from kinema.processors.messages import Conversation, ImagePart, Message, TextPart, VideoPart
from kinema.processors.read import ReadSettings
from kinema.processors.sentence_pieces import SentencePieceTokenizer
from kinema.training.packing import Packing


def videollama3(golden_dir, folder):
    loaded = videollama3_checkpoint.load(find_checkpoint("nano"), dtype=torch.float32)
    return loaded.model, loaded.processor


def video_llava(golden_dir, folder):
    loaded = video_llava_checkpoint.load(
        golden_video_llava.official_folder(golden_dir / "video_llava", folder)
    )
    return loaded.model, loaded.processor


def internvideo2(golden_dir, folder):
    case = GoldenCase(golden_dir / "internvideo2/F_chat_bridge")
    sizes = chat_config(case.config)
    settings = ChatProcessorConfig(
        size=sizes.vision.image_size,
        tokens_per_view=sizes.bridge.num_tokens,
        reading=ReadSettings(fps=None, max_frames=4, sampling="internvideo2_segment"),
    )
    tokenizer = SentencePieceTokenizer(letter_pieces(sizes.language.vocab_size))
    return chat_model(case), ChatProcessor(tokenizer, settings)


def talk(question: str, answer: str, *media) -> Conversation:
    return Conversation(
        messages=(
            Message(role="user", parts=(*media, TextPart(text=question))),
            Message(role="assistant", parts=(TextPart(text=answer),)),
        )
    )


def talks() -> list[Conversation]:
    """A clip, a picture, words alone, and another clip, of different lengths."""
    rng = np.random.default_rng(0)
    clips = [
        FrameBatch(
            data=rng.integers(0, 256, (count, 84, 84, 3), dtype=np.uint8),
            pts_s=np.arange(count, dtype=np.float64),
            duration_s=float(count),
        )
        for count in (8, 4)
    ]
    return [
        talk("what is seen?", "a dog", VideoPart(source=clips[0])),
        talk("what is it?", "a cat runs", ImagePart(source=clips[0].data[0])),
        talk("is a dog a cat?", "a dog is a dog"),
        talk("is it a cat?", "it is", VideoPart(source=clips[1])),
    ]


@pytest.fixture(scope="module", params=[videollama3, video_llava, internvideo2])
def family(request, golden_dir, tmp_path_factory):
    return request.param(golden_dir, tmp_path_factory.mktemp(request.param.__name__))


@torch.inference_mode()
def test_a_packed_sample_gets_the_logits_it_gets_alone(family):
    model, processor = family
    samples = [processor.read(conversation) for conversation in talks()]
    longest = max(len(sample.input_ids) for sample in samples)
    rows = Packing(max_tokens=longest + 40).rows(samples)
    assert max(map(len, rows)) > 1
    for row in rows:
        pack = processor.pack(row)
        parts = model(pack)[0].split(list(pack.segment_lengths))
        for packed, sample in zip(parts, row, strict=True):
            alone = model(processor.collate([sample]))[0]
            torch.testing.assert_close(packed, alone, atol=1e-4, rtol=1e-4)
