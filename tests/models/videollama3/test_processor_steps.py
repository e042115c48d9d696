"""The steps of preparing a conversation, taken one at a time."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from kinema.errors import InputError
from kinema.media.frames import FrameBatch
from kinema.models.videollama3.processor import VideoLLaMA3Processor, VideoLLaMA3ProcessorConfig
from kinema.processors.messages import Conversation, ImagePart, Message, TextPart, VideoPart
from kinema.processors.resize import OfficialResize
from kinema.processors.tokenizer import TextTokenizer

FRAMES = FrameBatch(
    data=np.repeat(np.arange(0, 90, 30, dtype=np.uint8), 56 * 56 * 3).reshape(3, 56, 56, 3),
    pts_s=np.arange(3.0),
    duration_s=3.0,
)


@pytest.fixture(scope="module")
def processor(golden_dir):
    file = golden_dir / "videollama3/tokenizer/tokenizer.json"
    tokenizer = TextTokenizer(Tokenizer.from_file(str(file)))
    return VideoLLaMA3Processor(tokenizer, VideoLLaMA3ProcessorConfig(resize=OfficialResize(min_tokens=1)))


def talk(question: str, frames: FrameBatch = FRAMES) -> Conversation:
    dark, light = (ImagePart(source=np.full((28, 56, 3), level, np.uint8)) for level in (0, 200))
    parts = (VideoPart(source=frames), dark, TextPart(text=question))
    stream = Message(role="stream", parts=(dark, light))
    return Conversation(messages=(Message(role="user", parts=parts), stream))


def test_measuring_tells_what_encoding_gives_where_nothing_is_pruned(processor):
    assert processor.measure(talk("Why?")) == processor.encode(talk("Why?")).items
    still = FrameBatch(data=FRAMES.data[[0, 0, 0]], pts_s=FRAMES.pts_s, duration_s=3.0)
    measured, encoded = processor.measure(talk("Why?", still)), processor.encode(talk("Why?", still)).items
    assert measured[0].tokens_per_frame == (4, 4, 4)
    assert encoded[0].tokens_per_frame == (4, 1, 1)
    assert measured[0].original_size == (56, 56)


def test_media_encoded_once_serve_any_question(processor):
    items = processor.encode(talk("Why?")).items
    turns = processor.tokenize(talk("What then?"), items, add_generation_prompt=True)
    prepared = processor.prepare(talk("What then?"), add_generation_prompt=True)
    assert [token for turn in turns for token in turn.ids] == prepared.sample.input_ids.tolist()


def test_descriptions_of_other_media_are_refused(processor):
    with pytest.raises(InputError, match="3 images, videos and streams; 0 are described"):
        processor.tokenize(talk("Why?"), [])


def test_a_limit_of_visual_tokens_is_kept(processor):
    clip = Conversation(messages=(Message(role="user", parts=(VideoPart(source=FRAMES),)),))
    assert processor.measure(clip)[0].tokens_per_frame == (4, 4, 4)
    assert processor.with_limits(max_tokens=3).measure(clip)[0].tokens_per_frame == (1, 1, 1)
