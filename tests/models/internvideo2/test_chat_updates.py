"""Updates of the chat model's Mistral, saved alone, merged, and read by others."""

import pytest
import torch
from small_chat import BRIDGE, write_eyes, write_mistral

from kinema.hub.keymap import KeyMap
from kinema.models.decoder_keys import decoder_rules
from kinema.models.internvideo2.chat_checkpoint import load, save_chat
from kinema.recipes.internvideo2_stage3 import start_chat
from kinema.training.adapters import Adapter, add_adapter, merge_adapter, save_adapter

IDS = torch.tensor([[1, 5, 7, 11, 2, 9]])


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    root = tmp_path_factory.mktemp("parts")
    return write_eyes(root / "eyes"), write_mistral(root / "mistral")


@pytest.fixture
def loaded(parts):
    return start_chat(*parts, bridge=BRIDGE)


def with_updates(model, part):
    """Updates that show; names of the layers that have one."""
    names = add_adapter(model, Adapter(parts=(part,), rank=3, alpha=6))
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            parameter.data.normal_(std=0.1, generator=generator)
    return names


@torch.inference_mode()
def logits(decoder):
    return decoder.eval().logits(decoder(decoder.embed_tokens(IDS), torch.arange(IDS.shape[1])[None]))


def test_eyes_and_queries_get_none(loaded):
    names = with_updates(loaded.model, "language_model")
    assert len(names) == 2 * 4
    assert all(name.startswith("language_model.layers.") for name in names)


def test_updates_are_read_by_peft_beside_the_mistral_of_transformers(parts, loaded, tmp_path):
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    decoder = loaded.model.language_model
    before = logits(decoder)
    with_updates(decoder, "layers")
    keymap = KeyMap("Mistral", decoder_rules(decoder.config, theirs="model.", ours=""))
    save_adapter(decoder, keymap, tmp_path / "adapter")
    base = transformers.MistralForCausalLM.from_pretrained(parts[1]).eval()
    torch.testing.assert_close(base(IDS).logits, before, atol=1e-4, rtol=0)
    tuned = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    after = logits(decoder)
    assert (after - before).abs().max() > 0.1
    torch.testing.assert_close(tuned(IDS).logits, after, atol=1e-4, rtol=0)


def test_updates_that_are_merged_answer_the_same_from_the_official_layout(loaded, tmp_path):
    with_updates(loaded.model, "language_model")
    expected = logits(loaded.model.language_model)
    merge_adapter(loaded.model)
    save_chat(loaded.model, loaded.processor, tmp_path / "merged")
    actual = logits(load(tmp_path / "merged").model.language_model)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)
