from dataclasses import replace

import pytest
import torch

from kinema.errors import ConfigError
from kinema.inference.cache import GrowingCache, StaticCache
from kinema.modules.language.decoder import Decoder, DecoderConfig

CONFIG = DecoderConfig(
    vocab_size=50,
    hidden_size=32,
    intermediate_size=48,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    max_positions=64,
)


def build(config: DecoderConfig) -> Decoder:
    """Random weights, large enough that every token changes what follows."""
    torch.manual_seed(0)
    decoder = Decoder(config).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            noise = torch.randn_like(parameter) * 0.2
            parameter.copy_(1 + noise if parameter.ndim == 1 else noise)
    return decoder


def random_ids(length: int) -> torch.Tensor:
    return torch.randint(0, 50, (1, length), generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def run(decoder, ids, *, start=0, positions=None, **options):
    """Logits (N, V) of one row."""
    if positions is None:
        positions = torch.arange(start, start + ids.shape[1])[None]
    return decoder.logits(decoder(decoder.embed(ids), positions, **options))[0]


def close(actual, expected):
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("parts", [[1] * 9, [9], [4, 1, 1, 3], [2, 7]])
def test_a_prompt_read_through_a_cache_gives_the_logits_it_gives_without(parts, window):
    decoder, ids = build(replace(CONFIG, sliding_window=window)), random_ids(9)
    cache = GrowingCache(decoder.config, 1)
    pieces = [run(decoder, part, start=cache.length, cache=cache) for part in ids.split(parts, dim=1)]
    close(torch.cat(pieces), run(decoder, ids))


@pytest.mark.parametrize("window", [None, 5, 2])
def test_samples_of_a_packed_row_get_the_logits_they_get_alone(window):
    decoder, ids, lengths = build(replace(CONFIG, sliding_window=window)), random_ids(10), (3, 5, 2)
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    packed = run(decoder, ids, positions=positions, segment_lengths=lengths)
    close(packed, torch.cat([run(decoder, part) for part in ids.split(lengths, dim=1)]))


def test_a_token_changes_nothing_before_it():
    decoder, ids = build(CONFIG), random_ids(6)
    before = run(decoder, ids)
    ids[0, 3] = (ids[0, 3] + 1) % 50
    changed = (run(decoder, ids) - before).abs().amax(-1) > 1e-4
    assert changed.tolist() == [False, False, False, True, True, True]


def test_padding_on_the_right_changes_no_real_token():
    decoder, ids = build(CONFIG), random_ids(5)
    padded = torch.cat((ids, torch.zeros(1, 3, dtype=torch.int64)), dim=1)
    close(run(decoder, padded)[:5], run(decoder, ids))


def test_a_window_hides_what_lies_further_back():
    decoder, ids = build(replace(CONFIG, num_layers=1, sliding_window=3)), random_ids(6)
    before = run(decoder, ids)
    ids[0, 1] = (ids[0, 1] + 1) % 50
    changed = (run(decoder, ids) - before).abs().amax(-1) > 1e-4
    assert changed.tolist() == [False, True, True, True, False, False]


def test_a_window_longer_than_the_text_hides_nothing():
    ids = random_ids(6)
    assert torch.equal(run(build(replace(CONFIG, sliding_window=6)), ids), run(build(CONFIG), ids))


def test_a_tied_head_is_the_embedding():
    decoder = build(replace(CONFIG, tie_word_embeddings=True))
    assert decoder.lm_head is None
    hidden_states = torch.eye(32)[:1]
    close(decoder.logits(hidden_states)[0], decoder.embed_tokens.weight[:, 0])


def test_a_pack_with_a_cache_is_refused():
    with pytest.raises(ValueError, match="a batch of one row, without a cache"):
        run(build(CONFIG), random_ids(4), segment_lengths=(2, 2), cache=StaticCache(CONFIG, 4))


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ConfigError, match="num_heads 4 must be a multiple of num_kv_heads 3"):
        replace(CONFIG, num_kv_heads=3)


FAMILIES = {
    "Qwen2": {"attention_bias": True, "rope_theta": 1e6},
    "Qwen2 tied": {"attention_bias": True, "tie_word_embeddings": True},
    "Llama": {"num_kv_heads": 4, "rms_norm_eps": 1e-5},
    "Mistral": {"sliding_window": 4},
    "Mistral without window": {"head_dim": 16},
}


def their_decoder(name: str, config: DecoderConfig):
    """The class of transformers for a family, with random weights."""
    transformers = pytest.importorskip("transformers")
    settings = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "tie_word_embeddings": config.tie_word_embeddings,
    }
    family = name.split()[0]
    if family == "Mistral":
        settings |= {"sliding_window": config.sliding_window, "head_dim": config.head_dim}
    their_config = getattr(transformers, f"{family}Config")(**settings)
    torch.manual_seed(0)
    theirs = getattr(transformers, f"{family}ForCausalLM")._from_config(
        their_config, attn_implementation="eager"
    )
    with torch.no_grad():
        for parameter in theirs.parameters():
            noise = torch.randn_like(parameter) * 0.2
            parameter.copy_(1 + noise if parameter.ndim == 1 else noise)
    return theirs.eval()


def with_their_weights(config: DecoderConfig, theirs) -> Decoder:
    """Ours: q, k and v are one matrix, gate and up another."""
    weights = theirs.state_dict()

    def joined(layer, kind, *names):
        return torch.cat([weights[f"model.layers.{layer}.{name}.{kind}"] for name in names])

    ours = {
        "embed_tokens.weight": weights["model.embed_tokens.weight"],
        "norm.weight": weights["model.norm.weight"],
    }
    if not config.tie_word_embeddings:
        ours["lm_head.weight"] = weights["lm_head.weight"]
    for layer in range(config.num_layers):
        qkv = [f"self_attn.{x}_proj" for x in "qkv"]
        parts = {
            "input_norm.weight": joined(layer, "weight", "input_layernorm"),
            "attention.qkv.weight": joined(layer, "weight", *qkv),
            "attention.out.weight": joined(layer, "weight", "self_attn.o_proj"),
            "post_attention_norm.weight": joined(layer, "weight", "post_attention_layernorm"),
            "mlp.gate_up.weight": joined(layer, "weight", "mlp.gate_proj", "mlp.up_proj"),
            "mlp.down.weight": joined(layer, "weight", "mlp.down_proj"),
        }
        if config.attention_bias:
            parts["attention.qkv.bias"] = joined(layer, "bias", *qkv)
        ours |= {f"layers.{layer}.{name}": part for name, part in parts.items()}
    decoder = Decoder(config)
    decoder.load_state_dict(ours)
    return decoder.eval()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_families_are_fields_of_one_config(name):
    config = replace(CONFIG, **FAMILIES[name])
    theirs = their_decoder(name, config)
    ids = random_ids(10)
    with torch.inference_mode():
        expected = theirs(input_ids=ids).logits[0]
    assert expected.std() > 0.5
    torch.testing.assert_close(run(with_their_weights(config, theirs), ids), expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_padding_on_either_side_changes_no_real_token():
    decoder = build(CONFIG)
    ids, padding = random_ids(5), torch.zeros(1, 2, dtype=torch.int64)
    alone = run(decoder, ids)
    right = torch.tensor([[True] * 5 + [False] * 2])
    close(run(decoder, torch.cat([ids, padding], 1), attention_mask=right)[:5], alone)
    positions = torch.tensor([[0, 0, 0, 1, 2, 3, 4]])
    left = torch.cat([padding, ids], 1)
    close(run(decoder, left, positions=positions, attention_mask=right.flip(1))[2:], alone)
    windowed = build(replace(CONFIG, sliding_window=3))
    expected = run(windowed, ids)
    close(run(windowed, left, positions=positions, attention_mask=right.flip(1))[2:], expected)


def test_padding_on_the_left_has_no_place_in_a_cache():
    decoder, ids = build(CONFIG), random_ids(3)
    with pytest.raises(ValueError, match="padded on the left cannot be read into a cache"):
        run(decoder, ids, cache=GrowingCache(CONFIG), attention_mask=torch.tensor([[False, True, True]]))
