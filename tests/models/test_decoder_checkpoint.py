"""InternLM2 alone, as its authors publish it; transformers has no class of it, so its formula stands here."""

import json
import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from kinema.errors import WeightsError
from kinema.hub.keymap import KeyMap
from kinema.models.decoder_checkpoint import load_decoder
from kinema.models.decoder_keys import decoder_rules

HIDDEN, HEADS, KEY_HEADS, SIZE, WIDTH, VOCABULARY = 24, 6, 2, 4, 20, 50
CONFIG = {
    "model_type": "internlm2",
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KEY_HEADS,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
    "rope_scaling": {"type": "dynamic", "factor": 2.0},
    "hidden_act": "silu",
    "bias": False,
    "tie_word_embeddings": False,
}


def official_tensors() -> dict[str, torch.Tensor]:
    """Under the names of internlm/internlm2_5-7b-chat, large enough that every token changes what follows."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        noise = torch.randn(shape, generator=generator) * 0.3
        return 1 + noise if len(shape) == 1 else noise

    tensors = {
        "model.tok_embeddings.weight": drawn(VOCABULARY, HIDDEN),
        "model.norm.weight": drawn(HIDDEN),
        "output.weight": drawn(VOCABULARY, HIDDEN),
    }
    for layer in ("model.layers.0.", "model.layers.1."):
        tensors |= {
            f"{layer}attention_norm.weight": drawn(HIDDEN),
            f"{layer}attention.wqkv.weight": drawn((HEADS + 2 * KEY_HEADS) * SIZE, HIDDEN),
            f"{layer}attention.wo.weight": drawn(HIDDEN, HEADS * SIZE),
            f"{layer}ffn_norm.weight": drawn(HIDDEN),
            f"{layer}feed_forward.w1.weight": drawn(WIDTH, HIDDEN),
            f"{layer}feed_forward.w2.weight": drawn(HIDDEN, WIDTH),
            f"{layer}feed_forward.w3.weight": drawn(WIDTH, HIDDEN),
        }
    return tensors


def turned(x: torch.Tensor) -> torch.Tensor:
    """Rotary positions of (N, A, d): dimension j goes with j + d/2."""
    angles = torch.arange(len(x))[:, None] / CONFIG["rope_theta"] ** (torch.arange(0, SIZE, 2) / SIZE)
    cos, sin = (f(torch.cat([angles, angles], -1))[:, None] for f in (torch.cos, torch.sin))
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def normed(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return weight * x / (x.square().mean(-1, keepdim=True) + CONFIG["rms_norm_eps"]).sqrt()


def logits_by_formula(tensors: dict[str, torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
    """(N,) to (N, V). A group of ``wqkv`` is the queries of one key, that key and its value."""
    x = tensors["model.tok_embeddings.weight"][ids]
    future = torch.full((len(ids), len(ids)), -math.inf).triu(1)
    for layer in ("model.layers.0.", "model.layers.1."):
        w = {key.removeprefix(layer): value for key, value in tensors.items() if key.startswith(layer)}
        qkv = normed(x, w["attention_norm.weight"]) @ w["attention.wqkv.weight"].T
        groups = qkv.view(len(ids), KEY_HEADS, HEADS // KEY_HEADS + 2, SIZE)
        query = turned(groups[:, :, :-2].flatten(1, 2))
        key, value = turned(groups[:, :, -2]), groups[:, :, -1]
        attended = []
        for head in range(HEADS):
            shared = head // (HEADS // KEY_HEADS)
            scores = query[:, head] @ key[:, shared].T / math.sqrt(SIZE) + future
            attended.append(scores.softmax(-1) @ value[:, shared])
        x = x + torch.cat(attended, -1) @ w["attention.wo.weight"].T
        read = normed(x, w["ffn_norm.weight"])
        gate, up = (read @ w[f"feed_forward.{name}.weight"].T for name in ("w1", "w3"))
        x = x + (F.silu(gate) * up) @ w["feed_forward.w2.weight"].T
    return normed(x, tensors["model.norm.weight"]) @ tensors["output.weight"].T


def write(folder, tensors, **changes):
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_internlm2_gives_the_logits_of_its_formula(tmp_path):
    tensors = official_tensors()
    decoder = load_decoder(write(tmp_path, tensors), "internlm2")
    ids = torch.randint(0, VOCABULARY, (12,), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = decoder.logits(decoder(decoder.embed(ids[None]), torch.arange(len(ids))[None]))[0]
    expected = logits_by_formula(tensors, ids)
    assert expected.std() > 0.5
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_internlm2_is_written_as_it_was_read(tmp_path):
    tensors = official_tensors()
    decoder = load_decoder(write(tmp_path, tensors), "internlm2")
    rules = decoder_rules(decoder.config, theirs="model.", ours="", layout="internlm2")
    exported = dict(KeyMap("InternLM2", rules).export(decoder.state_dict()))
    assert exported.keys() == tensors.keys()
    assert all(torch.equal(exported[key], tensor) for key, tensor in tensors.items())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "llama"}, "model_type 'llama'"),
        ({"bias": True}, "bias True"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling"),
        ({"num_key_value_heads": 3}, r"of another shape: model\.layers\.0\.attention\.wqkv"),
        ({"num_hidden_layers": 3}, r"7 keys missing: model\.layers\.2\."),
    ],
)
def test_internlm2_of_another_kind_is_refused(tmp_path, changes, said):
    with pytest.raises(WeightsError, match=said):
        load_decoder(write(tmp_path, official_tensors(), **changes), "internlm2")
