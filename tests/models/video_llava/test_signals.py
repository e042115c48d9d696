"""Sound, depth and heat on the projector of images and videos, which the paper leaves to the future."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_video_llava import as_user

import kinema
from kinema.media.frames import AudioClip
from kinema.models.languagebind.config import Modality
from kinema.models.video_llava.checkpoint import load, save
from kinema.models.video_llava.model import VideoLLaVA
from kinema.models.video_llava.processor import VideoLLaVAProcessor
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart
from kinema.training.losses import NextToken


@pytest.fixture(scope="module")
def folder(loaded, tmp_path_factory):
    """The golden model with three towers more, of chance."""
    config = loaded.model.config
    image = config.towers[Modality.IMAGE]
    others = {
        Modality.AUDIO: replace(image, image_size=(28, 70)),
        Modality.DEPTH: image,
        Modality.THERMAL: image,
    }
    torch.manual_seed(0)
    model = VideoLLaVA(replace(config, towers={**config.towers, **others}))
    model.load_state_dict(loaded.model.state_dict() | new_towers(model, others))
    folder = tmp_path_factory.mktemp("signals") / "model"
    save(model, loaded.processor, folder)
    return folder


def new_towers(model, others):
    prefixes = tuple(f"vision_encoder.{modality}." for modality in others)
    return {name: tensor for name, tensor in model.state_dict().items() if name.startswith(prefixes)}


def parts():
    tone = np.sin(np.arange(16000, dtype=np.float32) / 7)[:, None]
    return {
        "audio": AudioPart(source=AudioClip(data=tone, sample_rate=16000, start_s=0.0)),
        "depth": ImagePart(source=np.arange(3000, 3900).reshape(30, 30), modality="depth"),
        "thermal": ImagePart(source=np.full((30, 30), 90, np.uint8), modality="thermal"),
        "image": ImagePart(source=np.full((30, 30, 3), 90, np.uint8)),
    }


def test_towers_are_saved_and_found_again(folder, loaded):
    again = load(folder)
    assert list(again.model.vision_encoder) == ["image", "video", "audio", "depth", "thermal"]
    assert again.processor.config.signal_kinds == ("audio", "depth", "thermal")
    assert again.processor.config.signals.sound.target_length == 70
    assert isinstance(again.processor, VideoLLaVAProcessor)
    image = loaded.model.state_dict()["vision_encoder.image.class_embedding"]
    assert torch.equal(again.model.vision_encoder["image"].class_embedding, image)


def test_every_signal_is_asked_about(folder, cases):
    model = kinema.load(folder, device="cpu")
    tokens = {}
    for kind, part in parts().items():
        model.ask(part, "What is it?", max_new_tokens=2)
        assert model.plan(part, "What is it?").visual_tokens == model.last_usage.visual_tokens
        tokens[kind] = model.last_usage.visual_tokens
    per_image = cases["visual_tokens"]["per_image"]
    sound = 2 * 5  # 28 x 70 in patches of 14
    assert tokens == {"audio": sound, "depth": per_image, "thermal": per_image, "image": per_image}


def test_the_projector_learns_from_all_of_them(folder):
    again = load(folder)
    model = again.model.requires_grad_(False)
    model.connector.requires_grad_(True)
    said = as_user(*parts().values(), TextPart(text="What is it?"))
    answer = Message(role="assistant", parts=(TextPart(text="A man."),))
    batch = again.processor([Conversation(messages=(*said.messages, answer))], with_labels=True)
    before = NextToken()(model, batch)
    before.backward()
    with torch.no_grad():
        for parameter in model.connector.parameters():
            assert parameter.grad.abs().sum() > 0
            parameter -= 0.01 * parameter.grad
        assert NextToken()(model, batch) < before
