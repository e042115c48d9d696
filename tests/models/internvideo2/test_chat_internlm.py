"""InternVideo2-Chat with InternLM2.5, whose files were never seen: their names are those of public code."""

import numpy as np
import pytest
import torch
from bare_internvideo2 import INTERNLM, chat
from chat_pieces import IM_END, letter_pieces, write_internlm_vocabulary
from safetensors.torch import load_file, save_file

import kinema
from kinema.errors import WeightsError
from kinema.media.frames import FrameBatch
from kinema.models.internvideo2.chat import InternVideo2Chat
from kinema.models.internvideo2.chat_checkpoint import load, load_chat, save_chat
from kinema.models.internvideo2.chat_keys import chat_keymap
from kinema.models.internvideo2.config import chat_8b_internlm
from kinema.models.internvideo2.file_kinds import CHAT_TYPE, recognise, vocabulary_of
from kinema.processors.messages import Conversation, Message, TextPart

LAYER = "lm.base_model.model.model.layers.0."
UPDATED = ("attention.wqkv", "attention.wo", "feed_forward.w1", "feed_forward.w2", "feed_forward.w3")
"""What has low-rank updates by the public training code."""
RANK = 3


@pytest.fixture(scope="module")
def published():
    """A model, and its file as peft saves it: weights under ``base_layer``, updates of rank 3 beside them."""
    model, plain = chat(INTERNLM, "internlm2")
    generator = torch.Generator().manual_seed(0)
    tensors, expected = {}, {}
    for key, tensor in plain.items():
        name = key.removeprefix("lm.")
        if name != key:
            key = f"lm.base_model.model.{name}"
        if not name.startswith("model.layers.") or "norm" in name:
            tensors[key] = tensor
            continue
        stem = key.removesuffix(".weight")
        down = torch.randn(RANK, tensor.shape[1], generator=generator) * 0.1
        up = torch.randn(tensor.shape[0], RANK, generator=generator) * 0.1
        tensors[f"{stem}.base_layer.weight"] = tensor
        tensors[f"{stem}.lora_A.default.weight"] = down
        tensors[f"{stem}.lora_B.default.weight"] = up
        expected[key.replace("base_model.model.", "", 1)] = tensor + 2.0 * up @ down
    state = chat_keymap(model.config).load(Files(plain | expected), shapes_of(model))
    return model.config, state, tensors


class Files:
    """Tensors as a source of the key map."""

    origin = "a test"

    def __init__(self, tensors):
        self.tensors = tensors
        self.shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
        self.dtypes = {key: str(tensor.dtype).removeprefix("torch.") for key, tensor in tensors.items()}

    def read(self, key):
        return self.tensors[key]


def shapes_of(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def write(folder, tensors):
    save_file(tensors, folder / "model.safetensors")
    write_internlm_vocabulary(folder, INTERNLM.vocab_size)
    return folder


def clip():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 40, 80, 3), dtype=np.uint8)
    return FrameBatch(data=pixels, pts_s=np.arange(4.0), duration_s=4.0)


def test_the_published_size_has_the_names_of_public_code():
    config = chat_8b_internlm()
    with torch.device("meta"):
        model = InternVideo2Chat(config)
    inventory = chat_keymap(config).inventory(shapes_of(model))
    ours = {key: entry.shape for key, entry in inventory.items() if key.startswith("lm.")}
    assert {key: shape for key, shape in ours.items() if ".layers." not in key} == {
        "lm.model.tok_embeddings.weight": (92544, 4096),
        "lm.model.norm.weight": (4096,),
        "lm.output.weight": (92544, 4096),
    }
    assert {key: shape for key, shape in ours.items() if ".layers.31." in key} == {
        "lm.model.layers.31.attention.wqkv.weight": (6144, 4096),
        "lm.model.layers.31.attention.wo.weight": (4096, 4096),
        "lm.model.layers.31.attention_norm.weight": (4096,),
        "lm.model.layers.31.feed_forward.w1.weight": (14336, 4096),
        "lm.model.layers.31.feed_forward.w2.weight": (4096, 14336),
        "lm.model.layers.31.feed_forward.w3.weight": (14336, 4096),
        "lm.model.layers.31.ffn_norm.weight": (4096,),
    }
    assert len(ours) == 3 + 7 * 32
    num_updates, num_of_mistral, num_counted = 2 * (7 * 32 + 1), 3 + 9 * 32, 1
    assert len(inventory) - len(ours) == 1590 - num_updates - num_of_mistral - num_counted
    assert len(inventory) + 2 * len(UPDATED) * 32 + num_counted == 1396


def test_a_file_loads_by_its_shapes_and_its_updates_are_merged(published, tmp_path):
    config, state, tensors = published
    model = load_chat(write(tmp_path, tensors) / "model.safetensors", bridge_head_size=64)
    assert model.config == config
    for name, tensor in state.items():
        torch.testing.assert_close(model.state_dict()[name], tensor, msg=name)


def test_a_saved_model_has_its_own_names_and_loads_again(published, tmp_path):
    _, _, tensors = published
    (tmp_path / "bare").mkdir()
    loaded = load(write(tmp_path / "bare", tensors))
    save_chat(loaded.model, loaded.processor, tmp_path / "saved")
    written = load_file(tmp_path / "saved" / "model.safetensors")
    assert f"{LAYER}attention.wqkv.weight" in written
    again = load(tmp_path / "saved")
    assert again.model.config == loaded.model.config
    assert again.processor.config == loaded.processor.config
    assert again.processor.stop_token_ids == loaded.processor.stop_token_ids == (IM_END, 2)
    assert again.generation.eos_token_ids == (IM_END, 2)
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            f"{LAYER}attention.wqkv.base_layer.weight",
            None,
            r"belongs to .*layers\.0\.attention\.wqkv",
        ),
        ("lm.base_model.model.output.weight", None, r"1 key missing: lm\.output\.weight"),
        (f"{LAYER}attention.other", torch.zeros(1), r"1 key without a rule: .*layers\.0\.attention\.other"),
        (
            "lm.base_model.model.lm_head.weight",
            torch.zeros(30, 4),
            r"1 key without a rule: lm\.lm_head\.weight",
        ),
    ],
)
def test_a_file_that_is_not_whole_is_refused_by_name(published, tmp_path, key, value, said):
    _, _, tensors = published
    changed = {name: tensor for name, tensor in (tensors | {key: value}).items() if tensor is not None}
    with pytest.raises(WeightsError, match=said):
        load_chat(write(tmp_path, changed))


def test_prompts_are_those_of_the_training_code(published, tmp_path):
    _, _, tensors = published
    processor = load(write(tmp_path, tensors)).processor
    talk = Conversation(messages=(Message(role="user", parts=(TextPart(text="what"),)),))
    prepared = processor.prepare(talk, add_generation_prompt=True)
    assert prepared.text == "<|im_start|>user\nwhat<|im_end|>\n<|im_start|>assistant\n"
    assert processor.tokenizer.decode(prepared.sample.input_ids.tolist(), skip_special_tokens=False) == (
        prepared.text
    )


def test_a_vocabulary_without_the_names_of_its_marks_is_refused(published, tmp_path):
    _, _, tensors = published
    (write(tmp_path, tensors) / "tokenizer_config.json").unlink()
    with pytest.raises(WeightsError, match=r"no <.im_end.>, <.im_start.>, which prompts need"):
        load(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(letter_pieces(30))
    with pytest.raises(WeightsError, match="of another language model"):
        load(tmp_path)


def test_a_bare_file_is_told_by_its_keys_and_names_its_vocabulary(published):
    _, _, tensors = published
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    assert recognise(shapes) == CHAT_TYPE
    assert vocabulary_of(CHAT_TYPE, shapes).published == "internlm/internlm2_5-7b-chat-1m"


def test_the_front_door_shows_it_tiles_and_all_of_a_clip(published, tmp_path):
    _, _, tensors = published
    model = kinema.load(write(tmp_path, tensors), device="cpu", dtype="float32")
    whole = model.ask(clip(), "what is seen", max_new_tokens=4)
    assert "".join(model.ask(clip(), "what is seen", max_new_tokens=4, stream=True)) == whole
    assert model.last_usage.visual_tokens == 3 * 3  # two tiles of a wide clip, and all of it


def test_a_session_goes_on_where_an_answer_ended(published, tmp_path):
    _, _, tensors = published
    model = kinema.load(write(tmp_path, tensors), device="cpu", dtype="float32")
    whole = model.ask(clip(), "what is seen", max_new_tokens=4)
    with model.session(clip(), max_new_tokens=4) as session:
        assert session.ask("what is seen") == whole
        assert isinstance(session.ask("a cat", max_new_tokens=3), str)
