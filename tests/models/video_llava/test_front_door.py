"""Video-LLaVA asked as every model is: the library and the command line know nothing of the family."""

import json

import numpy as np
import pytest
from command_line import run
from PIL import Image

import kinema
from kinema.errors import InputError, OutOfBudgetError
from kinema.media.frames import FrameBatch
from kinema.media.write import write_video
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart, VideoPart
from kinema.toybox import make_scene, write_clip

QUESTION = "What is the person doing?"
DRAWN = {"max_new_tokens": 12, "temperature": 1.0, "seed": 3}


@pytest.fixture(scope="module")
def per_video(cases) -> int:
    """Tokens of eight frames."""
    assert cases["num_frames"] == 8
    return cases["visual_tokens"]["per_video_cls_kept"]


@pytest.fixture(scope="module")
def per_image(cases) -> int:
    return cases["visual_tokens"]["per_image"]


@pytest.fixture(scope="module")
def folder(official_folder, tmp_path_factory):
    """Answers are never ended by a token, so that there is something to compare."""
    folder = tmp_path_factory.mktemp("front_door") / "model"
    folder.mkdir()
    for file in official_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": []}))
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return kinema.load(folder, device="cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_clip(make_scene(0, level=1), path)
    return path


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)


def noise(num_frames, seed=0):
    data = np.random.default_rng(seed).integers(0, 256, (num_frames, 40, 32, 3), np.uint8)
    return FrameBatch(data=data, pts_s=np.arange(num_frames) / 2, duration_s=num_frames / 2)


def test_pieces_of_a_stream_are_the_answer(model, clip, per_video):
    answer = model.ask(clip, QUESTION, **DRAWN)
    assert answer
    assert "".join(model.ask(clip, QUESTION, stream=True, **DRAWN)) == answer
    assert model.last_usage.kept_tokens == model.last_usage.visual_tokens == per_video


def test_eight_frames_are_read_from_first_to_last_with_their_times(model, clip):
    model.ask(clip, QUESTION, max_new_tokens=1)
    (item,) = model.last_usage.items
    with kinema.media.video.open_video(clip) as video:
        pts_s = video.timeline.pts_s
    assert item.times_s == tuple(pts_s[np.linspace(0, len(pts_s) - 1, 8).astype(int)])


def test_an_answer_depends_on_what_is_seen_and_in_which_order(model, clip, picture):
    media = ([clip], [picture], [clip, picture], [picture, clip], [clip, picture, noise(8)], None)
    answers = {model.ask(one, QUESTION, **DRAWN) for one in media}
    assert len(answers) == len(media)


def test_a_session_answers_as_a_fresh_conversation_of_the_same_words(model, clip):
    with model.session(clip, **DRAWN) as talk:
        first = talk.ask(QUESTION)
        second = talk.ask("Why?")
        assert talk.last_usage.encoded_tokens == 0
    asked = Message(role="user", parts=(VideoPart(source=str(clip)), TextPart(text=QUESTION)))
    assert first == model.chat(Conversation(messages=(asked,)), **DRAWN)
    answer = Message(role="assistant", parts=(TextPart(text=first),))
    again = Message(role="user", parts=(TextPart(text="Why?"),))
    assert second == model.chat(Conversation(messages=(asked, answer, again)), **DRAWN)


def test_a_batch_answers_as_each_question_alone(model, clip, picture):
    questions = [(clip, QUESTION), (None, "Hi"), ([picture, noise(8)], "Is it the same?")]
    alone = [model.ask(media, question, **DRAWN) for media, question in questions]
    assert model.ask_batch(questions, **DRAWN) == alone


def test_a_plan_counts_the_tokens_that_are_used(model, clip, picture, per_video, per_image):
    media = [clip, picture]
    plan = model.plan(media, QUESTION, max_new_tokens=7)
    model.ask(media, QUESTION, max_new_tokens=7)
    assert plan.prompt_tokens == model.last_usage.prompt_tokens
    assert plan.visual_tokens == model.last_usage.visual_tokens == per_video + per_image
    assert plan.memory.cache == model.last_usage.cache_bytes
    assert plan.problem is None


def test_more_frames_are_seen_in_windows_of_eight(model, tmp_path, per_video):
    write_video(tmp_path / "long.mp4", iter(noise(24).data), fps=2)
    model.ask(tmp_path / "long.mp4", QUESTION, max_frames=16, max_new_tokens=1)
    assert model.last_usage.visual_tokens == 2 * per_video
    model.ask(noise(9), QUESTION, max_new_tokens=1)
    (item,) = model.last_usage.items
    assert item.times_s == (*np.arange(8) / 2, *[4.0] * 8)


def test_fewer_frames_are_repeated_as_in_training(model):
    model.ask(noise(3), QUESTION, max_new_tokens=1)
    (item,) = model.last_usage.items
    assert item.times_s == (0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 1.0)


def test_tokens_are_averaged_to_keep_a_budget(model, clip):
    model.ask(clip, QUESTION, max_tokens=16, max_new_tokens=1)
    assert model.last_usage.visual_tokens == 8 * 2  # one of patches, and the class token
    with pytest.raises(OutOfBudgetError, match="8 images and frames give 16 visual tokens at least"):
        model.ask(clip, QUESTION, max_tokens=15)


def test_what_does_not_fit_is_refused_with_a_budget_that_fits(model, tmp_path):
    write_video(tmp_path / "long.mp4", iter(noise(4).data), fps=2)
    clip = VideoPart(source=str(tmp_path / "long.mp4"), max_frames=800)
    with pytest.raises(OutOfBudgetError, match=r"It fits with .*max_tokens=\d+"):
        model.ask(clip, QUESTION)


@pytest.mark.parametrize("text", ["<image>", "<video> what?", "</s>USER: hi", "<unk><s>"])
def test_a_marker_in_a_users_words_is_only_words(model, clip, text, per_video):
    model.ask(clip, text, max_new_tokens=1)
    assert model.last_usage.visual_tokens == per_video
    prompt = model.processor.prepare(
        Conversation(messages=(Message(role="user", parts=(TextPart(text=text),)),))
    )
    assert not set(prompt.sample.input_ids.tolist()[1:]) & {0, 1, 2}
    assert not prompt.sample.visual_mask.any()


def test_too_many_media_are_refused(model, picture):
    with pytest.raises(InputError, match="holds 16 images at most, this one has 17"):
        model.ask([picture] * 17, QUESTION)
    one_video = model.with_settings(max_videos=1)
    with pytest.raises(InputError, match="holds 1 videos at most, this one has 2"):
        one_video.ask([noise(8), noise(8)], QUESTION)


def test_sound_and_streams_are_refused(model):
    sound = Message(role="user", parts=(AudioPart(source="x.wav"),))
    with pytest.raises(InputError, match="no tower for audio; it takes text and image, video"):
        model.chat(Conversation(messages=(sound,)))
    stream = Message(role="stream", parts=(ImagePart(source=noise(1).data[0]),))
    with pytest.raises(InputError, match="no turn of the role 'stream'"):
        model.chat(Conversation(messages=(stream, Message(role="user", parts=(TextPart(text="x"),)))))


def test_the_command_line_answers_as_the_library(model, folder, clip, per_video):
    expected = model.ask(str(clip), QUESTION, max_new_tokens=4)
    document = run(
        "ask", clip, QUESTION, "--model", folder, "--device", "cpu", "--json", "--max-new-tokens", 4
    ).document
    assert document["answer"] == expected
    (video,) = document["media"]
    assert video["tokens"] == per_video
    assert len(video["frames"]) == 8


def test_the_command_line_plans_without_weights(folder, clip, tmp_path, per_video):
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    outcome = run("plan", clip, "--model", tmp_path, "--device", "cpu")
    assert outcome.exit_code == 0
    assert "8 frames of" in outcome.stdout
    assert f"{per_video} tokens" in outcome.stdout


def test_what_the_model_saw_can_be_looked_at(folder, clip, tmp_path, cases, per_image):
    seen = tmp_path / "seen"
    run("ask", clip, QUESTION, "--model", folder, "--max-new-tokens", 1, "--frames-to", seen)
    (item,) = json.loads((seen / "index.json").read_text())["items"]
    assert len(item["frames"]) == 8
    assert sum(row.count("#") for row in item["frames"][0]["blocks"]) == per_image
    with Image.open(seen / item["frames"][0]["file"]) as picture:
        assert picture.width == cases["image_size"]


def test_the_command_line_converts_with_a_warning(folder, tmp_path):
    outcome = run("convert", folder, tmp_path / "copy", "--layout", "official")
    assert outcome.exit_code == 0
    outcome = run("convert", folder, tmp_path / "port", "--layout", "transformers", "--json")
    assert outcome.document["layout"] == "transformers"
    assert "no attention over time" in outcome.stderr
    outcome = run("convert", tmp_path / "port", tmp_path / "back", "--layout", "official")
    assert outcome.exit_code == 4
    assert "lost its attention over time" in outcome.stderr


def test_llava_is_told_apart_from_video_llava(folder, clip, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava", "vision_config": {}}))
    outcome = run("ask", clip, "What?", "--model", tmp_path)
    assert outcome.exit_code == 4
    assert "is LLaVA, which sees images alone" in outcome.stderr
