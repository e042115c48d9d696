import numpy as np
import pytest

from kinema.datasets.toybox import ToyboxImages, ToyboxText, ToyboxVideos, draw_size
from kinema.media.frames import FrameBatch
from kinema.processors.messages import ImagePart, TextPart, VideoPart
from kinema.toybox.captions import DETAILED_PROMPT, SHORT_PROMPT


def test_a_video_sample_shows_one_frame_a_second_and_asks_several_questions():
    conversation = ToyboxVideos(num_questions=4, caption_share=0.0).sample(0, np.random.default_rng(0))
    video, question = conversation.messages[0].parts
    assert isinstance(video, VideoPart)
    assert isinstance(video.source, FrameBatch)
    assert video.source.pts_s.tolist() == list(range(len(video.source)))
    assert video.source.duration_s == len(video.source)
    assert isinstance(question, TextPart)
    assert [message.role for message in conversation.messages] == ["user", "assistant"] * 4


def test_an_image_sample_shows_one_picture():
    conversation = ToyboxImages().sample(0, np.random.default_rng(0))
    media = [
        part for message in conversation.messages for part in message.parts if isinstance(part, ImagePart)
    ]
    assert len(media) == 1
    assert media[0].source.ndim == 3


def test_a_text_sample_holds_no_media():
    conversation = ToyboxText().sample(0, np.random.default_rng(0))
    assert all(isinstance(part, TextPart) for message in conversation.messages for part in message.parts)


def test_a_caption_may_be_asked_for_in_words_too():
    plain, captioned = ToyboxText(num_questions=2), ToyboxText(num_questions=2, caption_share=1.0)
    said = [
        [message.text for message in source.sample(0, np.random.default_rng(0)).messages]
        for source in (plain, captioned)
    ]
    assert [len(messages) for messages in said] == [4, 6]
    assert any(text.endswith((SHORT_PROMPT, DETAILED_PROMPT)) for text in said[1])


@pytest.mark.parametrize("source", [ToyboxText(), ToyboxImages(), ToyboxVideos()])
def test_a_sample_follows_from_its_generator(source):
    texts = [[m.text for m in source.sample(0, np.random.default_rng(5)).messages] for _ in range(2)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("num_frames", [1, 4, 8])
def test_sizes_fit_the_budget_of_tokens(num_frames):
    rng = np.random.default_rng(0)
    sizes = [draw_size(rng, num_frames=num_frames, max_tokens=160) for _ in range(300)]
    tokens = [round(height / 28) * round(width / 28) * num_frames for height, width in sizes]
    assert max(tokens) <= 160
    assert min(min(size) for size in sizes) >= 75
    assert len(set(sizes)) > 20


def test_frames_of_a_video_may_be_spread_over_the_film():
    conversation = ToyboxVideos(num_frames=8, side=56).sample(0, np.random.default_rng(0))
    video = conversation.messages[0].parts[0].source
    assert video.data.shape == (8, 56, 56, 3)
    assert video.pts_s[0] == 0.0
    assert video.pts_s[-1] == pytest.approx(video.duration_s - 1 / 24)


def test_an_image_may_have_a_side_of_its_own():
    (image, _) = ToyboxImages(side=56).sample(0, np.random.default_rng(0)).messages[0].parts
    assert image.source.shape == (56, 56, 3)
