import json

import numpy as np
import pytest
import torch
from chat_pieces import letter_pieces
from golden_case import GoldenCase
from golden_chat import chat_config, chat_model
from safetensors.torch import load_file, save_file

import kinema
from kinema.cli.report import describe_item
from kinema.errors import ConfigError, InputError, OutOfBudgetError, WeightsError
from kinema.media.frames import FrameBatch
from kinema.models.internvideo2.chat import InternVideo2Chat
from kinema.models.internvideo2.chat_checkpoint import load, load_chat, load_outline, save_chat
from kinema.models.internvideo2.chat_keys import chat_keymap
from kinema.models.internvideo2.chat_processor import ChatProcessor, ChatProcessorConfig
from kinema.models.internvideo2.config import chat_8b
from kinema.processors.messages import AudioPart, Conversation, ImagePart, Message, TextPart, VideoPart
from kinema.processors.read import ReadSettings
from kinema.processors.sentence_pieces import SentencePieceTokenizer

NUM_FRAMES = 4


@pytest.fixture(scope="module")
def case(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/F_chat_bridge")


@pytest.fixture(scope="module")
def processor(case):
    sizes = chat_config(case.config)
    config = ChatProcessorConfig(
        size=sizes.vision.image_size,
        tokens_per_view=sizes.bridge.num_tokens,
        reading=ReadSettings(fps=None, max_frames=NUM_FRAMES, sampling="internvideo2_segment"),
    )
    return ChatProcessor(SentencePieceTokenizer(letter_pieces(sizes.language.vocab_size)), config)


@pytest.fixture(scope="module")
def folder(case, processor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "chat"
    save_chat(chat_model(case), processor, folder)
    return folder


def sizes(case):
    """What no shape tells."""
    config = chat_config(case.config)
    return {
        "image_size": config.vision.image_size,
        "num_heads": config.vision.num_heads,
        "bridge_head_size": config.bridge.hidden_size // config.bridge.num_heads,
        "language_head_size": config.language.head_dim,
    }


def clip(num_frames=NUM_FRAMES, height=30, width=50):
    pixels = np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)
    return FrameBatch(data=pixels, pts_s=np.arange(num_frames) / 2.0, duration_s=num_frames / 2.0)


def talk(*parts, answer=None):
    messages = [Message(role="user", parts=parts)]
    if answer is not None:
        messages.append(Message(role="assistant", parts=(TextPart(text=answer),)))
    return Conversation(messages=tuple(messages))


def test_the_released_layout_has_1590_tensors():
    config = chat_8b()
    with torch.device("meta"):
        model = InternVideo2Chat(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    inventory = chat_keymap(config).inventory(shapes)
    num_factors = 2 * (7 * 32 + 1)  # of seven matrices a layer and of the head
    num_counted = 1  # position_ids, which count from 0
    assert len(inventory) + num_factors + num_counted == 1590
    assert inventory["query_tokens"].shape == (1, 32, 768)
    assert inventory["extra_query_tokens"].shape == (1, 64, 768)
    assert config.bridge.num_tokens == 96


def test_a_published_file_loads_by_its_shapes_and_its_updates_are_merged(case):
    model = load_chat(case.folder / "weights.safetensors", **sizes(case))
    expected = chat_model(case)
    assert model.config.vision == expected.config.vision
    assert model.config.bridge == expected.config.bridge
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, msg=name)


def test_a_saved_model_loads_again_bit_for_bit(case, folder):
    again, expected = load_chat(folder), chat_model(case)
    assert again.config == expected.config
    assert all(
        torch.equal(again.state_dict()[name], tensor) for name, tensor in expected.state_dict().items()
    )
    written, original = load_file(folder / "model.safetensors"), case.weights()
    untouched = [key for key in original if not key.startswith("lm.") and not key.endswith("position_ids")]
    assert all(torch.equal(written[key], original[key]) for key in untouched)
    assert written.keys() == {
        key for key in original if "lora" not in key and not key.endswith("position_ids")
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"project_up.weight": None}, "1 key missing: project_up.weight"),
        ({"vision_layernorm.more": torch.zeros(1)}, r"without a rule: vision_layernorm\.more"),
        ({"lm.base_model.model.lm_head.lora_B.default.weight": None}, "has no lora_B beside its lora_A"),
        ({"query_tokens": torch.zeros(1, 3, 1)}, "of another shape: query_tokens"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_by_name(case, tmp_path, change, said):
    changed = {key: value for key, value in (case.weights() | change).items() if value is not None}
    save_file(changed, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=said):
        load_chat(tmp_path / "model.safetensors", **sizes(case))


def test_settings_of_the_processor_are_saved(case, processor, tmp_path):
    changed = processor.with_settings(max_tiles=6, max_length=1024)
    save_chat(chat_model(case), changed, tmp_path / "saved")
    assert load(tmp_path / "saved").processor.config == changed.config


def test_an_outline_has_shapes_only(folder):
    outline = load_outline(folder, dtype=torch.bfloat16).model
    assert {tensor.device.type for tensor in outline.parameters()} == {"meta"}


def test_an_outline_needs_weights_where_no_config_tells_the_sizes(folder, tmp_path):
    for name in ("config.json", "tokenizer.model", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert load_outline(tmp_path, dtype=torch.bfloat16).model.config == load_chat(folder).config
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "InternVideo2_VideoChat2"}))
    with pytest.raises(WeightsError, match="only the weights of this model tell its sizes; load it once"):
        load_outline(tmp_path, dtype=torch.bfloat16)


def test_a_folder_without_a_vocabulary_says_what_to_copy(folder, tmp_path):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(WeightsError, match=r"no tokenizer\.model"):
        load(tmp_path)


def test_every_view_has_as_many_placeholders_as_queries(processor):
    single = talk(VideoPart(source=clip(width=60)), TextPart(text="what is seen"))
    queries = processor.config.tokens_per_view
    inputs = processor(single, add_generation_prompt=True)
    assert int(inputs.visual_mask.sum()) == inputs.visual.num_tokens == queries
    tiled = processor.with_settings(max_tiles=6)(single)
    assert tiled.visual.items[0].shape[:3] == (3, NUM_FRAMES, 3)  # two tiles of a wide clip, and all of it
    assert int(tiled.visual_mask.sum()) == tiled.visual.num_tokens == 3 * queries
    padded = processor.with_settings(max_tiles=6, tile_fit="pad")(single)
    assert padded.visual.items[0].shape[:3] == (7, NUM_FRAMES, 3)  # three by two, between white rows


def test_what_is_measured_is_what_is_encoded(processor):
    tiled = processor.with_settings(max_tiles=4)
    for changed in (processor, tiled, tiled.with_settings(tile_fit="pad")):
        shown = talk(VideoPart(source=clip()), ImagePart(source=clip().data[0]), TextPart(text="a"))
        assert changed.measure(shown) == changed.encode(shown).items


def test_a_report_tells_times_of_frames_but_no_tokens_of_each(processor):
    (item,) = processor.measure(talk(VideoPart(source=clip(num_frames=2)), TextPart(text="a")))
    report = describe_item(item)
    assert report["tokens"] == processor.config.tokens_per_view
    assert report["frames"] == [{"time_s": 0.0}, {"time_s": 0.5}]


def test_fewer_tiles_are_cut_to_keep_a_budget(processor):
    queries = processor.config.tokens_per_view
    shown = talk(VideoPart(source=clip(height=30, width=60)), TextPart(text="a"))
    tiled = processor.with_settings(max_tiles=6)
    assert len(tiled.encode(shown).inputs.items[0]) == 3
    assert len(tiled.with_limits(max_tokens=2 * queries).encode(shown).inputs.items[0]) == 2
    assert len(tiled.with_limits(max_tokens=queries).encode(shown).inputs.items[0]) == 1
    with pytest.raises(OutOfBudgetError, match="visual tokens at least"):
        tiled.with_limits(max_tokens=queries - 1).encode(shown)


def test_only_answers_and_their_ends_are_labelled(processor):
    inputs = processor(
        talk(VideoPart(source=clip()), TextPart(text="what"), answer="a dog"), with_labels=True
    )
    labelled = inputs.input_ids[inputs.labels != -100].tolist()
    assert labelled[-1] == processor.tokenizer.special_id("</s>")
    assert processor.tokenizer.decode(labelled) == "a dog"


def test_a_sample_without_an_answer_has_no_labels(processor):
    with pytest.raises(InputError, match="without an answer"):
        processor(talk(TextPart(text="what")), with_labels=True)


def test_sound_is_refused(processor):
    with pytest.raises(InputError, match="text, images and videos"):
        processor(talk(AudioPart(source="a.wav")))


@pytest.mark.parametrize(
    "changes", [{"size": 30}, {"max_tiles": 0}, {"tokens_per_view": 0}, {"tile_fit": "cut"}]
)
def test_settings_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError):
        ChatProcessorConfig(**changes)


def test_the_front_door_asks_about_clips_and_goes_on_in_sessions(folder, processor):
    model = kinema.load(folder)
    whole = model.ask(clip(), "what is seen", max_new_tokens=5)
    assert "".join(model.ask(clip(), "what is seen", max_new_tokens=5, stream=True)) == whole
    with model.session(clip(), max_new_tokens=5) as session:
        assert session.ask("what is seen") == whole
        session.ask("a cat", max_new_tokens=3)
    assert model.last_usage.visual_tokens == processor.config.tokens_per_view
    assert isinstance(model.ask(None, "a cat", max_new_tokens=2), str)


def test_a_plan_tells_the_tokens_of_every_view(folder, processor):
    plan = kinema.load(folder).plan(clip(), "what is seen")
    assert plan.items[0].num_tokens == processor.config.tokens_per_view


def test_the_published_config_leads_to_this_family(folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "InternVideo2_VideoChat2"}))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (tmp_path / "tokenizer.model").write_bytes(letter_pieces(48))
    with pytest.raises(WeightsError, match="whole frames"):  # sizes of this tiny model cannot be told
        kinema.load(tmp_path)
