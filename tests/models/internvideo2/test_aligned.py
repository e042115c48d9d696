from dataclasses import replace

import numpy as np
import pytest
import torch
from bert_vocabulary import small_tokenizer
from golden_case import GoldenCase
from golden_stage2 import stage2_model

from kinema.datasets.joined import Joined
from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError, DataError
from kinema.media.frames import AudioClip, FrameBatch
from kinema.models.internvideo2.aligned import AlignedProcessor
from kinema.models.internvideo2.stage2_processor import Stage2Processor, Stage2ProcessorConfig
from kinema.processors.beats_features import BEATsFeaturesConfig
from kinema.processors.bert_text import BertTokenizer
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart, VideoPart
from kinema.recipes.internvideo2_stage2 import AUGMENTATION, stage2_paper
from kinema.training.loop import train
from kinema.training.masked_words import WordMasking
from kinema.training.order import OneKind
from kinema.training.run import RunConfig


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    tokenizer = BertTokenizer(small_tokenizer(tmp_path_factory.mktemp("vocabulary")), max_tokens=8)
    sound = BEATsFeaturesConfig(num_samples=400 + 160 * 47)
    return AlignedProcessor(Stage2Processor(tokenizer, Stage2ProcessorConfig(size=28, sound=sound)))


def clip(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 28, 28, 3), dtype=np.uint8)
    return VideoPart(source=FrameBatch(data=pixels, pts_s=np.arange(2.0), duration_s=2.0))


def sound(seed):
    samples = np.random.default_rng(seed).standard_normal((4000, 1)).astype(np.float32).clip(-1, 1)
    return AudioPart(source=AudioClip(data=samples, sample_rate=16_000, start_s=0.0))


def sample(*parts, **captions):
    messages = []
    for number, (name, text) in enumerate(captions.items()):
        shown = parts if number == 0 else ()
        messages.append(Message(role="user", parts=(*shown, TextPart(text=name))))
        messages.append(Message(role="assistant", parts=(TextPart(text=text),)))
    return Conversation(messages=tuple(messages))


def test_clips_sounds_and_named_captions_become_a_batch(processor):
    talks = [sample(clip(i), sound(i), video="a cat", avs="a dog barks") for i in range(2)]
    inputs = processor(talks)
    assert inputs.pixel_values.shape == (2, 2, 3, 28, 28)
    assert inputs.audio_features.shape == (2, 48, 64)
    assert sorted(inputs.captions) == ["avs", "video"]
    assert inputs.captions["avs"].input_ids.shape == (2, 6)


def test_an_answer_to_nothing_is_the_caption_of_what_is_seen(processor):
    shown = Message(role="user", parts=(ImagePart(source=np.zeros((28, 28, 3), np.uint8)),))
    talk = Conversation(messages=(shown, Message(role="assistant", parts=(TextPart(text="a cat"),))))
    inputs = processor([talk])
    assert list(inputs.captions) == ["video"]
    assert inputs.pixel_values.shape == (1, 1, 3, 28, 28)


def test_samples_of_one_picture_have_one_id(processor):
    first, second, third = (sample(clip(seed), video="a") for seed in (0, 0, 1))
    ids = processor([first, second, third]).ids.tolist()
    assert ids[0] == ids[1] != ids[2]
    assert all(0 <= number < 2**63 for number in ids)


def test_with_an_augmentation_a_seed_draws_frames_and_crop(processor):
    drawing = processor.with_settings(augmentation=AUGMENTATION, num_frames=2)
    talks = [replace(sample(clip(0), video="a"), seed=seed) for seed in (1, 1, 2, None)]
    first, again, other, fixed = drawing(talks).pixel_values
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(fixed, processor([talks[0]]).pixel_values[0])


def test_a_picture_is_cropped_as_a_clip_of_one_frame(processor):
    picture = ImagePart(source=np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    drawing = processor.with_settings(augmentation=AUGMENTATION)
    first, other = drawing([replace(sample(picture, video="a"), seed=seed) for seed in (1, 2)]).pixel_values
    assert first.shape == (1, 3, 28, 28)
    assert not torch.equal(first, other)


def test_any_stretch_of_a_long_sound_is_heard(processor):
    drawing = processor.with_settings(augmentation=AUGMENTATION)
    long = AudioPart(source=AudioClip(data=sound(0).source.data[:2000], sample_rate=2000, start_s=0.0))
    heard = drawing([replace(sample(long, video="a"), seed=seed) for seed in (1, 1, 2)]).audio_features
    assert heard.shape == (3, 48, 64)
    assert torch.equal(heard[0], heard[1])
    assert not torch.equal(heard[0], heard[2])


def test_crops_need_a_size(processor):
    with pytest.raises(ConfigError, match="give it one"):
        processor.with_settings(augmentation=AUGMENTATION, size=None, keeps_shape=True)


@pytest.mark.parametrize(
    ("talks", "said"),
    [
        ([sample(clip(0), video="a"), sample(sound(0), video="a")], "of one kind"),
        ([sample(clip(0), video="a"), sample(clip(0), avs="a")], "of one kind"),
        ([sample(clip(0), clip(1), video="a")], "2 media"),
        ([sample(video="a")], "0 media"),
        ([Conversation(messages=(Message(role="user", parts=(clip(0),)),))], "needs a caption"),
    ],
)
def test_samples_that_make_no_batch_are_refused(processor, talks, said):
    with pytest.raises(DataError, match=said):
        processor(talks)


class Clips:
    """Clips with sound or sounds alone, each with all captions that the second step reads."""

    def __init__(self, *kinds):
        self.kinds = kinds

    def sample(self, index, rng):
        parts = [make(index) for make in self.kinds]
        captions = {"video": "a cat", "audio": "the dog barks", "av": "a cat and the dog"}
        return sample(*parts, **captions, avs="a cat and the dog")


def test_both_steps_of_the_paper_train_a_model_that_hears(golden_dir, processor, tmp_path):
    case = GoldenCase(golden_dir / "internvideo2/C_stage2_audiovisual")
    model = stage2_model(case)
    data = Joined(parts=((Clips(clip), 4), (Clips(clip, sound), 4), (Clips(sound), 4)))
    masked, unmasked = stage2_paper(data, data)
    small = {"num_steps": 2, "batch_size": 4, "order": OneKind((4, 4)), "data": mixture((data, 1.0))}
    masking = WordMasking(vocab_size=case.config["text"]["vocab_size"], start_id=2, mask_id=4)
    captions = unmasked.loss.captions
    stages = [
        replace(masked, **small, loss=replace(masked.loss, masking=masking, captions=captions)),
        replace(
            unmasked,
            **(small | {"num_steps": 3, "order": OneKind((4, 4, 4))}),
            loss=replace(unmasked.loss, masking=masking),
        ),
    ]
    before = {name: value.clone() for name, value in model.named_parameters()}
    train(model, processor, stages, RunConfig(out_dir=tmp_path, num_workers=0, log_every=1))
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert any(name.startswith("hearing.audio_encoder") for name in moved)
    assert any(name.startswith("vision_encoder.vision_encoder") for name in moved)
    assert not any(name.startswith("vision_encoder.clip") for name in moved)
