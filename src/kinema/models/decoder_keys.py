"""The names of decoders in files: Llama's, which Qwen2, Vicuna and Mistral share, and InternLM2's.

Every family whose files hold a decoder puts its own prefix before them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kinema.hub.keymap import Fuse, Rename, Reorder, Rule, Tied
from kinema.modules.language.decoder import DecoderConfig

DecoderLayout = Literal["llama", "internlm2"]
"""Whose names the tensors have."""


@dataclass(frozen=True, kw_only=True)
class DecoderNames:
    """What the tensors of a decoder are called: those of layers under ``layers.N.``, the head beside all."""

    embedding: str
    input_norm: str
    qkv: tuple[str, ...]
    """Three matrices, or one that holds them group by group: the queries of a key, the key, its value."""
    out: str
    post_attention_norm: str
    gate_up: tuple[str, str]
    down: str
    head: str


DECODER_NAMES: dict[DecoderLayout, DecoderNames] = {
    "llama": DecoderNames(
        embedding="embed_tokens",
        input_norm="input_layernorm",
        qkv=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        out="self_attn.o_proj",
        post_attention_norm="post_attention_layernorm",
        gate_up=("mlp.gate_proj", "mlp.up_proj"),
        down="mlp.down_proj",
        head="lm_head.weight",
    ),
    "internlm2": DecoderNames(
        embedding="tok_embeddings",
        input_norm="attention_norm",
        qkv=("attention.wqkv",),
        out="attention.wo",
        post_attention_norm="ffn_norm",
        gate_up=("feed_forward.w1", "feed_forward.w3"),
        down="feed_forward.w2",
        head="output.weight",
    ),
}
"""InternLM2's are those of its technical report's code, arXiv 2403.17297."""


def decoder_rules(
    config: DecoderConfig,
    *,
    theirs: str,
    ours: str,
    head: str | None = None,
    layout: DecoderLayout = "llama",
) -> tuple[Rule, ...]:
    """Rules of a decoder and its head.

    Args:
        config: of the decoder.
        theirs: what stands before its names in files, such as ``"model."``.
        ours: what stands before them in our model.
        head: the whole name of the head in files; None for that of a decoder alone.
        layout: whose names they are.
    """
    names = DECODER_NAMES[layout]
    layers, our_layers = f"{theirs}layers.*.", f"{ours}layers.*."
    embedding, head = f"{theirs}{names.embedding}.weight", head or names.head
    return (
        Rename(embedding, f"{ours}embed_tokens.weight"),
        Rename(f"{layers}{names.input_norm}.weight", f"{our_layers}input_norm.weight"),
        _attention_rule(config, names.qkv, theirs=layers, ours=f"{our_layers}attention.qkv.*"),
        Rename(f"{layers}{names.out}.weight", f"{our_layers}attention.out.weight"),
        Rename(f"{layers}{names.post_attention_norm}.weight", f"{our_layers}post_attention_norm.weight"),
        Fuse(
            tuple(f"{layers}{name}.weight" for name in names.gate_up),
            f"{our_layers}mlp.gate_up.weight",
            rows=(config.intermediate_size,) * 2,
        ),
        Rename(f"{layers}{names.down}.weight", f"{our_layers}mlp.down.weight"),
        Rename(f"{theirs}norm.weight", f"{ours}norm.weight"),
        Tied(head, same_as=embedding)
        if config.tie_word_embeddings
        else Rename(head, f"{ours}lm_head.weight"),
    )


def _attention_rule(config: DecoderConfig, names: tuple[str, ...], *, theirs: str, ours: str) -> Rule:
    if len(names) == 1:
        return Reorder(f"{theirs}{names[0]}.*", ours, blocks=tuple(_groups(config)))
    query_rows, key_rows = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    return Fuse(tuple(f"{theirs}{name}.*" for name in names), ours, rows=(query_rows, key_rows, key_rows))


def _groups(config: DecoderConfig) -> Iterator[slice]:
    """Rows of our queries, keys and values, key head by key head."""
    first_key = config.num_heads * config.head_dim
    first_value = first_key + config.num_kv_heads * config.head_dim
    num_queries = first_key // config.num_kv_heads
    for group in range(config.num_kv_heads):
        for start, length in ((0, num_queries), (first_key, config.head_dim), (first_value, config.head_dim)):
            yield slice(start + group * length, start + (group + 1) * length)
