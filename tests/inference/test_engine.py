from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.errors import ConfigError, InputError
from kinema.inference.engine import VideoLanguageModel
from kinema.inference.profile import Profile
from kinema.inference.runner import RunSettings
from kinema.inference.sampling import SamplingConfig
from kinema.media.frames import FrameBatch
from kinema.media.write import write_video
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.model import VideoLLaMA3
from kinema.modules.language.decoder import DecoderConfig
from kinema.modules.vision.navit import NaViTConfig
from kinema.processors.messages import Conversation, ImagePart, Message, TextPart, VideoPart
from kinema.processors.pruning import NoPruning

QUESTION = "What is the cat doing?"
DRAWN = {"max_new_tokens": 20, "temperature": 1.0, "seed": 3}


def user(*parts) -> Message:
    return Message(role="user", parts=tuple(TextPart(text=p) if isinstance(p, str) else p for p in parts))


def test_pieces_of_a_stream_are_the_answer(model, clip):
    answer = model.ask(clip, QUESTION, **DRAWN)
    assert answer
    pieces = list(model.ask(clip, QUESTION, stream=True, **DRAWN))
    assert len(pieces) > 1
    assert "".join(pieces) == answer


def test_an_answer_depends_on_the_video_the_question_and_the_seed(model, clip, noise):
    answers = {
        model.ask(clip, QUESTION, **DRAWN),
        model.ask(noise(4, 1), QUESTION, **DRAWN),
        model.ask(clip, "Why?", **DRAWN),
        model.ask(clip, QUESTION, **DRAWN | {"seed": 4}),
        model.ask(None, QUESTION, **DRAWN),
        model.ask(clip, QUESTION, system="Be brief.", **DRAWN),
    }
    assert len(answers) == 6


def test_a_batch_answers_as_each_question_alone(model, clip, noise):
    questions = [(clip, QUESTION), (None, "Hi"), ([noise(2), clip.data[0]], "Is it the same?")]
    alone = [model.ask(media, question, **DRAWN) for media, question in questions]
    assert model.ask_batch(questions, **DRAWN) == alone


def test_work_in_small_pieces_gives_the_same_answer(model, clip):
    settings = RunSettings(max_patches=10, prefill_chunk=7)
    careful = VideoLanguageModel(model.network, model.processor, eos_ids=(), settings=settings)
    hasty = VideoLanguageModel(model.network, model.processor, eos_ids=())
    assert careful.ask(clip, QUESTION, **DRAWN) == hasty.ask(clip, QUESTION, **DRAWN)


def test_media_and_a_question_are_the_conversation_they_stand_for(model, clip):
    picture = clip.data[0]
    parts = (VideoPart(source=clip), ImagePart(source=picture), "Same?")
    conversation = Conversation(messages=(user(*parts),))
    expected = model.chat(conversation, **DRAWN)
    assert model.ask([clip, picture], "Same?", **DRAWN) == expected
    assert model.ask(conversation, **DRAWN) == expected
    one_turn = model.last_usage.prompt_tokens
    model.ask(Conversation(messages=(user(*parts[:2]),)), "Same?", **DRAWN)
    assert model.last_usage.prompt_tokens > one_turn  # the question is a turn of its own


def test_files_are_told_apart_as_image_or_video(model, clip, tmp_path):
    write_video(tmp_path / "clip.mp4", iter(clip.data), fps=1)
    Image.fromarray(clip.data[0]).save(tmp_path / "picture.png")
    for source, kind in ((tmp_path / "clip.mp4", "video"), (tmp_path / "picture.png", "image")):
        for form in (source, str(source), source.read_bytes(), source.open("rb")):
            model.ask(form, QUESTION, max_new_tokens=1)
            assert [item.kind for item in model.last_usage.items] == [kind]


def test_only_the_frames_asked_for_are_read(model, tmp_path, noise):
    write_video(tmp_path / "clip.mp4", iter(noise(20).data), fps=Fraction(2))
    model.ask(tmp_path / "clip.mp4", QUESTION, fps=2.0, start_s=3.0, end_s=6.0, max_new_tokens=1)
    times = [time for item in model.last_usage.items for time in item.times_s]
    assert times == pytest.approx([3.0, 3.5, 4.0, 4.5, 5.0, 5.5])


def test_fewer_visual_tokens_are_used_on_request(model, clip):
    model.ask(clip, QUESTION, max_new_tokens=1)
    assert model.last_usage.visual_tokens == 24
    model.ask(clip, QUESTION, max_tokens=8, max_new_tokens=1)
    assert model.last_usage.visual_tokens <= 8


def test_settings_of_the_processor_change_for_a_model_of_their_own(model, clip):
    still = FrameBatch(data=clip.data[[0, 0]], pts_s=clip.pts_s[:2], duration_s=2.0)
    whole = model.with_settings(pruning=NoPruning())
    whole.ask(still, QUESTION, max_new_tokens=1)
    model.ask(still, QUESTION, max_new_tokens=1)
    assert whole.last_usage.kept_tokens == 12
    assert model.last_usage.kept_tokens == 7
    assert whole.network is model.network


def test_usage_counts_what_was_done(model, clip):
    still = FrameBatch(data=clip.data[[0, 0, 0]], pts_s=clip.pts_s[:3], duration_s=3.0)
    model.ask(still, QUESTION, max_new_tokens=5, temperature=1.0)
    usage = model.last_usage
    assert (usage.visual_tokens, usage.kept_tokens, usage.encoded_tokens) == (18, 8, 18)
    assert usage.items[0].times_s == (0.0, 1.0, 2.0)
    assert usage.prompt_tokens == usage.prefilled_tokens
    assert 1 <= usage.new_tokens <= 5
    assert set(usage.seconds) == {"media", "vision", "prefill", "decode"}
    assert usage.tokens_per_second == pytest.approx(usage.new_tokens / usage.seconds["decode"])


def test_a_caption_is_asked_in_the_models_own_words(network, processor, clip):
    profile = Profile(caption_prompt="Describe the toys.")
    model = VideoLanguageModel(network, processor, eos_ids=(), profile=profile)
    assert model.caption(clip, **DRAWN) == model.ask(clip, "Describe the toys.", **DRAWN)


def test_settings_of_the_model_hold_where_a_question_says_nothing(network, processor, clip):
    sampling = SamplingConfig(max_new_tokens=3)
    model = VideoLanguageModel(network, processor, eos_ids=(), sampling=sampling)
    model.ask(clip, QUESTION)
    assert model.last_usage.new_tokens == 3
    model.ask(clip, QUESTION, max_new_tokens=2)
    assert model.last_usage.new_tokens == 2


@pytest.mark.parametrize(
    ("media", "question", "options", "error", "message"),
    [
        (None, None, {}, InputError, "nothing to answer"),
        (None, "Hi", {"fps": 2.0}, InputError, "fps: there is no video"),
        (None, "Hi", {"temprature": 2.0}, ConfigError, "no option temprature"),
        (None, "Hi", {"temperature": -1.0}, ConfigError, "temperature"),
    ],
)
def test_what_cannot_be_answered_is_refused(model, media, question, options, error, message):
    with pytest.raises(error, match=message):
        model.ask(media, question, **options)


def test_a_conversation_that_ends_with_an_answer_needs_a_question(model):
    said = Conversation(messages=(user("Hi"), Message(role="assistant", parts=(TextPart(text="Yes?"),))))
    with pytest.raises(InputError, match="nothing to answer"):
        model.ask(said)
    assert model.ask(said, "Why?", **DRAWN)


def test_errors_come_with_the_call_also_where_the_answer_is_streamed(model):
    with pytest.raises(InputError, match="nothing to answer"):
        model.ask(None, stream=True)


LANGUAGE = DecoderConfig(
    vocab_size=344,
    hidden_size=344,
    intermediate_size=8,
    num_layers=1,
    num_heads=1,
    num_kv_heads=1,
    head_dim=8,
    max_positions=4096,
)
VISION = NaViTConfig(hidden_size=32, intermediate_size=64, num_layers=1, num_heads=4)


def parrot(processor, text: str) -> VideoLanguageModel:
    """A model that says one thing whatever it is asked: a token leads to the next, from a line break on."""
    (line_break,) = processor.tokenizer.encode("\n")
    (end, *_) = processor.stop_token_ids
    chain = [line_break, *processor.tokenizer.encode(text), end]
    assert len(set(chain)) == len(chain)
    network = VideoLLaMA3(VideoLLaMA3Config(vision=VISION, language=LANGUAGE)).eval()
    for parameter in network.language_model.layers.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.eye_(network.language_model.embed_tokens.weight)
    torch.nn.init.zeros_(network.language_model.lm_head.weight)
    with torch.no_grad():
        for now, then in pairwise(chain):
            network.language_model.lm_head.weight[then, now] = 1.0
    return VideoLanguageModel(network, processor, eos_ids=processor.stop_token_ids)


def test_located_spans_are_read_from_the_answer_and_clipped(processor, clip):
    model = parrot(processor, "2-7 s")
    assert model.ask(clip, QUESTION) == "2-7 s"
    (span,) = model.locate(clip, "a cat")
    assert (span.start_s, span.end_s) == (2.0, 4.0)
    num_positions, likelihood = LANGUAGE.vocab_size, np.exp(np.sqrt(LANGUAGE.vocab_size))
    assert span.score == pytest.approx(likelihood / (likelihood + num_positions - 1), rel=1e-4)
    assert parrot(processor, "never").locate(clip, "a cat") == []


def test_times_are_times_of_one_video(model, clip):
    with pytest.raises(InputError, match="there are 2 here"):
        model.locate([clip, clip], "a cat")
    with pytest.raises(InputError, match="there are 0 here"):
        model.locate(clip.data[0], "a cat")
