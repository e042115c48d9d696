import json
import re
from dataclasses import replace

import pytest

from kinema.errors import OutOfBudgetError
from kinema.inference.engine import VideoLanguageModel
from kinema.inference.memory import Memory
from kinema.inference.runner import RunSettings
from kinema.media.write import write_video
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.models.videollama3.model import VideoLLaMA3

QUESTION = "What is the cat doing?"


@pytest.fixture
def short_model(network, processor) -> VideoLanguageModel:
    """Holds 350 positions."""
    language = replace(network.config.language, max_positions=350)
    small = VideoLLaMA3(VideoLLaMA3Config(vision=network.config.vision, language=language)).eval()
    return VideoLanguageModel(small, processor, eos_ids=())


@pytest.fixture
def long_clip(noise, tmp_path):
    write_video(tmp_path / "long.mp4", iter(noise(24).data), fps=1)
    return tmp_path / "long.mp4"


def test_a_plan_counts_the_tokens_that_are_used(model, clip):
    plan = model.plan(clip, QUESTION, max_new_tokens=7)
    model.ask(clip, QUESTION, max_new_tokens=7)
    assert plan.prompt_tokens == model.last_usage.prompt_tokens
    assert plan.visual_tokens == 24
    assert plan.memory.cache == model.last_usage.cache_bytes
    assert plan.problem is None


def test_a_plan_reads_no_more_than_it_must_of_a_file(model, long_clip):
    plan = model.plan(long_clip, QUESTION, max_frames=10)
    assert [item.grid_thw[0] for item in plan.items] == [10]
    assert plan.items[0].original_size == (56, 84)


def test_a_plan_prints_as_a_table_and_as_json(model, clip):
    plan = model.plan(clip, QUESTION)
    assert re.search(r"video +<frames>: 4 frames of 56 x 84, as 4 x 6 patches, 24 tokens", str(plan))
    assert json.loads(json.dumps(plan.to_dict()))["memory_bytes"]["peak"] == plan.memory.peak


def test_what_does_not_fit_is_refused_with_the_settings_that_make_it_fit(short_model, long_clip):
    with pytest.raises(OutOfBudgetError, match="but the model holds 350 positions") as caught:
        short_model.ask(long_clip, QUESTION, max_new_tokens=50)
    settings = dict(re.findall(r"(max_\w+)=(\d+)", str(caught.value)))
    assert {"max_frames", "max_tokens"} <= settings.keys()
    for name, value in settings.items():
        options = {"max_new_tokens": 50} | {name: int(value)}
        assert short_model.plan(long_clip, QUESTION, **options).problem is None
        assert short_model.plan(long_clip, QUESTION, **options | {name: int(value) + 1}).problem is not None
        assert isinstance(short_model.ask(long_clip, QUESTION, **options), str)


def test_frames_that_are_chosen_already_are_not_advised_to_be_fewer(short_model, noise):
    with pytest.raises(OutOfBudgetError) as caught:
        short_model.ask(noise(24), QUESTION, max_new_tokens=50)
    assert "max_frames" not in str(caught.value)
    assert "max_tokens=" in str(caught.value)


def test_no_setting_is_named_where_none_alone_helps(short_model):
    with pytest.raises(OutOfBudgetError, match="No single setting"):
        short_model.ask(None, "cat " * 700)


def test_a_session_is_planned_too(short_model, noise):
    with pytest.raises(OutOfBudgetError, match="350 positions"):
        short_model.session(noise(24))


def test_memory_that_is_not_there_is_missed_before_the_work(model, clip, monkeypatch):
    monkeypatch.setattr("kinema.inference.plan.free_bytes", lambda device: 300_000)
    with pytest.raises(OutOfBudgetError, match="beyond the weights, but cpu has 0 MB left"):
        model.ask(clip, QUESTION, max_new_tokens=1000)


def test_work_in_small_pieces_takes_less_memory(model, noise):
    careful = VideoLanguageModel(
        model.network, model.processor, eos_ids=(), settings=RunSettings(max_patches=24, prefill_chunk=16)
    )
    frames = noise(60)
    assert careful.plan(frames, QUESTION).memory.vision < model.plan(frames, QUESTION).memory.vision
    assert careful.plan(frames, QUESTION).memory.prefill < model.plan(frames, QUESTION).memory.prefill


def test_frames_count_only_where_the_model_works_beside_them():
    memory = Memory(weights=1, cache=1, media=9, vision=5, prefill=3, decode=2, on_host=True)
    assert (memory.work, memory.peak) == (9, 10)
    memory = replace(memory, on_host=False)
    assert (memory.work, memory.peak) == (5, 6)
