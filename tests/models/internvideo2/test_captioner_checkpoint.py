import json

import numpy as np
import pytest
import torch
from command_line import run
from numbered_clips import encode, sound_file, tone
from safetensors.torch import load_file, save_file
from small_captioner import NUM_QUERIES, small_captioner, small_captioner_processor

import kinema
from kinema.errors import InputError, MediaError, WeightsError
from kinema.hub.card import ModelCard
from kinema.models.internvideo2 import checkpoint
from kinema.models.internvideo2.captioner_checkpoint import (
    load,
    load_captioner,
    load_outline,
    save_captioner,
)
from kinema.toybox import make_scene, write_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "captioner"
    card = ModelCard(
        title="small", metadata={"kinema": {"caption_prompt": "what is heard"}}, sections={"": "Random."}
    )
    save_captioner(small_captioner(), small_captioner_processor(), folder, card=card)
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    path.write_bytes(sound_file(clip=tone(2.0)))
    return path


def test_a_saved_model_loads_again_bit_for_bit(folder):
    again, expected = load_captioner(folder), small_captioner()
    assert again.config == expected.config
    for name, tensor in expected.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_each_part_has_the_names_it_was_published_with(folder):
    names = load_file(folder / "model.safetensors").keys()
    assert {name.split(".")[0] for name in names} == {
        "audio_encoder",
        "qformer",
        "query_tokens",
        "extra_query_tokens",
        "project_up",
        "lm",
    }
    assert "audio_encoder.encoder.pos_conv.0.weight_g" in names
    assert "lm.model.layers.0.self_attn.q_proj.weight" in names


def test_settings_of_the_processor_are_saved(folder, tmp_path):
    changed = small_captioner_processor().with_settings(max_windows=2, max_length=128)
    save_captioner(small_captioner(), changed, tmp_path / "saved")
    assert load(tmp_path / "saved").processor.config == changed.config


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"project_up.weight": None}, "1 key missing: project_up.weight"),
        ({"vision_layernorm.weight": torch.zeros(1)}, r"without a rule: vision_layernorm\.weight"),
        ({"query_tokens": torch.zeros(1, 3, 1)}, "of another shape: query_tokens"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_by_name(folder, tmp_path, change, said):
    weights = load_file(folder / "model.safetensors") | change
    save_file(
        {key: value for key, value in weights.items() if value is not None}, tmp_path / "model.safetensors"
    )
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(WeightsError, match=said):
        load_captioner(tmp_path)


def test_a_folder_of_another_family_is_refused(folder, tmp_path):
    content = json.loads((folder / "config.json").read_text()) | {"model_type": "internvideo2_chat"}
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(WeightsError, match=r"'internvideo2_chat' of InternVideo2, expected .*captioner'"):
        load_captioner(tmp_path)


def test_an_outline_has_shapes_only(folder):
    outline = load_outline(folder, dtype=torch.bfloat16).model
    assert {tensor.device.type for tensor in outline.parameters()} == {"meta"}


def test_a_copy_in_another_dtype_is_a_folder_like_it(folder, tmp_path):
    checkpoint.convert(folder, tmp_path / "half", layout="official", dtype=torch.bfloat16)
    half = load_captioner(tmp_path / "half")
    assert half.up_projection.weight.dtype == torch.bfloat16
    assert half.config == load_captioner(folder).config


def test_the_front_door_hears_files_decoded_sound_and_films(folder, sound, tmp_path):
    model = kinema.load(folder)
    heard = model.caption(sound, max_new_tokens=5)
    assert heard == model.ask(str(sound), "what is heard", max_new_tokens=5)
    assert "".join(model.ask(sound, "what is heard", max_new_tokens=5, stream=True)) == heard
    assert model.last_usage.visual_tokens == 2 * NUM_QUERIES
    assert isinstance(model.ask(tone(2.0), "what", end_s=1.0, max_new_tokens=2), str)
    assert model.last_usage.visual_tokens == NUM_QUERIES
    write_clip(make_scene(3, level=2), tmp_path / "clip.mp4")
    assert isinstance(model.caption(tmp_path / "clip.mp4", start_s=1.0, end_s=2.0, max_new_tokens=2), str)
    assert model.last_usage.visual_tokens == NUM_QUERIES


def test_a_session_hears_once_and_answers_again(folder, sound):
    model = kinema.load(folder)
    with model.session(sound, max_new_tokens=4) as session:
        assert session.ask("what is heard") == model.ask(sound, "what is heard", max_new_tokens=4)


def test_a_plan_tells_the_windows_of_a_sound(folder, sound):
    plan = kinema.load(folder).plan(sound, "what")
    assert plan.visual_tokens == 2 * NUM_QUERIES
    assert plan.items[0].times_s == (0.0, 1.0)
    assert "2 windows" in str(plan)
    assert plan.problem is None
    assert kinema.load(folder).plan([], "what").memory.vision < plan.memory.vision


def test_what_has_no_sound_is_refused_at_the_front_door(folder, tmp_path):
    model = kinema.load(folder)
    (tmp_path / "mute.mp4").write_bytes(encode("mp4", "libx264"))
    with pytest.raises(MediaError, match="holds no sound"):
        model.caption(tmp_path / "mute.mp4")
    with pytest.raises(InputError, match="does not see"):
        model.ask(np.zeros((8, 8, 3), np.uint8), "what")
    with pytest.raises(InputError, match="no video here"):
        model.ask(tone(1.0), "what", fps=1.0)


def test_the_command_line_captions_a_sound_and_plans_it(folder, sound, tmp_path):
    assert run("caption", str(sound), "--model", str(folder), "--max-new-tokens", "3").exit_code == 0
    assert "2 windows" in run("plan", str(sound), "what", "--model", str(folder)).stdout
    seen = tmp_path / "seen"
    run("ask", str(sound), "what", "--model", str(folder), "--max-new-tokens", "2", "--frames-to", str(seen))
    assert len(list(seen.glob("*.png"))) == 2


def test_there_is_one_mode(folder):
    with pytest.raises(WeightsError, match="compat='official' only"):
        load(folder, compat="transformers")
