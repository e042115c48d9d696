from dataclasses import replace

import pytest
import torch
from golden_case import GoldenCase
from golden_stage2 import stage2_config

from kinema.errors import ConfigError, InputError, WeightsError
from kinema.hub.files import open_checkpoint
from kinema.hub.keymap import Ignore, KeyMap
from kinema.models.bert_keys import bert_rules
from kinema.modules.text.bert import Bert, BertConfig


def keymap_of(config):
    others = ("vision_encoder.**", "vision_proj.*", "text_proj.*", "itm_head.*", "temp")
    ignored = tuple(Ignore(pattern, "not of the text encoder") for pattern in others)
    return KeyMap("BERT", (*bert_rules(config, theirs="text_encoder.", ours=""), *ignored))


@pytest.fixture(scope="module")
def case(golden_dir):
    return GoldenCase(golden_dir / "internvideo2/C_stage2_visual")


@pytest.fixture(scope="module")
def bert(case):
    config = stage2_config(case.config).text
    with torch.device("meta"):
        bert = Bert(config)
    keymap_of(config).load_into(bert, open_checkpoint(case.folder / "weights.safetensors"))
    return bert.eval()


@torch.no_grad()
def test_text_layers_and_fusion_layers_equal_the_original(case, bert):
    ids, mask = case.inputs["input_ids"], case.inputs["attention_mask"]
    text = bert(ids, mask)
    case.check(text, "text_embeds")
    case.check(bert.fuse(text, mask, case.outputs["video_embeds"]), "fusion_embeds")


@torch.no_grad()
@pytest.mark.parametrize("step", ["video_step", "image_step"])
def test_guesses_of_masked_words_equal_the_original(case, bert, step):
    ids, mask = case.inputs[f"{step}.mlm_input_ids"], case.inputs["attention_mask"]
    fused = bert.fuse(bert(ids, mask), mask, case.outputs[f"{step}.vision_embeds"])
    case.check(bert.guess_words(fused), f"{step}.mlm_logits")


@torch.no_grad()
def test_what_a_memory_masks_out_is_not_seen(case, bert):
    ids, mask = case.inputs["input_ids"], case.inputs["attention_mask"]
    memory = case.outputs["video_embeds"]
    longer = torch.cat([memory, torch.ones_like(memory[:, :3])], dim=1)
    memory_mask = torch.tensor([[1] * memory.shape[1] + [0] * 3]).expand(len(memory), -1)
    text = bert(ids, mask)
    torch.testing.assert_close(
        bert.fuse(text, mask, longer, memory_mask), bert.fuse(text, mask, memory), atol=1e-5, rtol=0
    )


@torch.no_grad()
def test_padding_changes_nothing_of_a_text(case, bert):
    ids = case.inputs["input_ids"][:1, :4]
    padded = torch.nn.functional.pad(ids, (0, 3))
    alone = bert(ids, torch.ones(1, 4))
    beside = bert(padded, torch.tensor([[1, 1, 1, 1, 0, 0, 0]]))
    torch.testing.assert_close(beside[:, :4], alone, atol=1e-5, rtol=0)


def test_a_file_without_the_memory_width_of_the_model_is_refused(case, bert):
    config = replace(bert.config, memory_size=bert.config.memory_size + 1)
    with pytest.raises(WeightsError, match=r"crossattention\.self\.key\.weight is"):
        keymap_of(config).load_into(Bert(config), open_checkpoint(case.folder / "weights.safetensors"))


def test_weights_are_saved_as_they_were(case, bert):
    written = dict(keymap_of(bert.config).export(bert.state_dict()))
    original = {key: value for key, value in case.weights().items() if key.startswith("text_encoder.")}
    counted = "text_encoder.bert.embeddings.position_ids"
    assert original.keys() - written.keys() == {counted}
    assert all(torch.equal(written[key], original[key]) for key in original if key != counted)


def test_a_text_longer_than_there_are_positions_is_refused(bert):
    num_tokens = bert.config.max_positions + 1
    with pytest.raises(InputError, match=f"1 to {num_tokens - 1} tokens"):
        bert(torch.zeros(1, num_tokens, dtype=torch.int64), torch.ones(1, num_tokens))


@pytest.mark.parametrize("changes", [{"hidden_size": 1000}, {"fusion_layer": 0}, {"fusion_layer": 25}])
def test_sizes_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError):
        BertConfig(memory_size=8, **changes)
