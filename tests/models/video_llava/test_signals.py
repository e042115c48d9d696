"""Sound, depth and heat on the projector of images and videos, which the paper leaves to the future."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from command_line import run
from golden_video_llava import as_user
from numbered_clips import numbered_frames, sound_file, tone
from PIL import Image

import kinema
from kinema.errors import InputError, MediaError
from kinema.media.frames import AudioClip
from kinema.media.write import write_video
from kinema.models.languagebind.config import Modality
from kinema.models.video_llava.checkpoint import load, save
from kinema.models.video_llava.model import VideoLLaVA
from kinema.models.video_llava.processor import VideoLLaVAProcessor
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart
from kinema.processors.signals import read_sound
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


@pytest.mark.parametrize("num_s", [5, 70])  # a file over a minute is read in stretches
def test_stretches_of_long_sounds_are_drawn_from_the_seed_of_a_sample(folder, num_s):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (num_s * 16_000, 1)).astype(np.float32)
    file = sound_file("flac", "flac", AudioClip(data=noise, sample_rate=16_000, start_s=0.0))
    processor = load(folder).processor
    talk = as_user(AudioPart(source=file), AudioPart(source=file), TextPart(text="What is it?"))

    def hear(seed):
        return [item.pixel_values for item in processor([replace(talk, seed=seed)]).visual.items]

    (middle, same), (one, next_one), (again, _), (other, _) = (hear(seed) for seed in (None, 1, 1, 2))
    middles = read_sound(file, processor.config.signals.sound)
    assert torch.equal(middle, middles)
    assert torch.equal(same, middles)
    assert torch.equal(one, again)
    for drawn in (middle, next_one, other):
        assert not torch.allclose(one, drawn, atol=0.1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Sound, a film with a sound track, and maps, as people have them."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "tone.wav").write_bytes(sound_file("wav", "pcm_s16le", tone(1.0)))
    write_video(folder / "film.mp4", numbered_frames(10), fps=10, audio=tone(1.0))
    Image.fromarray(np.arange(1000, 1900, dtype=np.uint16).reshape(30, 30)).save(folder / "depth.png")
    Image.fromarray(np.full((30, 30), 90, np.uint8)).save(folder / "heat.png")
    return folder


def test_a_sound_file_is_a_medium_like_any_other(folder, files):
    model = kinema.load(folder, device="cpu")
    heard = model.ask(files / "tone.wav", "What is it?", max_new_tokens=3)
    assert [item.kind for item in model.last_usage.items] == ["audio"]
    assert model.plan(files / "tone.wav", "What is it?").visual_tokens == model.last_usage.visual_tokens
    with model.session(files / "tone.wav", max_new_tokens=3) as session:
        assert session.ask("What is it?") == heard


def test_a_picture_of_8_bits_is_no_depth_map(folder, files):
    model = kinema.load(folder, device="cpu")
    with pytest.raises(MediaError, match=r"heat\.png: a depth map is a grey image of 16 bits"):
        model.ask(ImagePart(source=files / "heat.png", modality="depth"), "How far?")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("audio:film.mp4", "audio"), ("depth:depth.png", "depth"), ("thermal:heat.png", "thermal")],
)
def test_the_command_line_is_told_what_a_file_shows(folder, files, tmp_path, name, kind):
    _, _, file = name.partition(":")
    arguments = (f"{kind}:{files / file}", "What?", "--model", folder, "--device", "cpu", "--json")
    seen = tmp_path / "seen"
    answered = run("ask", *arguments, "--max-new-tokens", 1, "--frames-to", seen).document
    assert [item["kind"] for item in answered["media"]] == [kind]
    assert len(list(seen.glob("*.png"))) == 1
    planned = run("plan", *arguments).document
    assert planned["visual_tokens"] == answered["media"][0]["tokens"]


@pytest.mark.parametrize("kind", ["audio", "depth", "thermal"])
def test_a_model_without_the_tower_says_so(official_folder, files, kind):
    outcome = run("ask", f"{kind}:{files / 'film.mp4'}", "What?", "--model", official_folder)
    assert outcome.exit_code == 2
    assert f"this model has no tower for {kind}; it takes text and image, video" in outcome.stderr
    with pytest.raises(InputError, match="no tower for audio"):
        kinema.load(official_folder, device="cpu").ask(files / "tone.wav", "What is it?")


def test_what_is_said_of_a_file_that_is_not_there_is_one_line(folder, files):
    outcome = run("ask", f"depth:{files / 'none.png'}", "What?", "--model", folder)
    assert outcome.exit_code == 3
    assert outcome.stderr.strip().endswith("none.png: there is no such file.")
