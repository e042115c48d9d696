"""The names of decoders in files: Llama's, which Qwen2, Vicuna and Mistral share.

Every family whose files hold a decoder puts its own prefix before them.
"""

from kinema.hub.keymap import Fuse, Rename, Rule, Tied
from kinema.modules.language.decoder import DecoderConfig


def decoder_rules(
    config: DecoderConfig, *, theirs: str, ours: str, head: str = "lm_head.weight"
) -> tuple[Rule, ...]:
    """Rules of a decoder and its head.

    Args:
        config: of the decoder.
        theirs: what stands before its names in files, such as ``"model."``.
        ours: what stands before them in our model.
        head: the whole name of the head in files.
    """
    layers, our_layers = f"{theirs}layers.*.", f"{ours}layers.*."
    query_rows, key_rows = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    embedding = f"{theirs}embed_tokens.weight"
    return (
        Rename(embedding, f"{ours}embed_tokens.weight"),
        Rename(f"{layers}input_layernorm.weight", f"{our_layers}input_norm.weight"),
        Fuse(
            tuple(f"{layers}self_attn.{name}_proj.*" for name in "qkv"),
            f"{our_layers}attention.qkv.*",
            rows=(query_rows, key_rows, key_rows),
        ),
        Rename(f"{layers}self_attn.o_proj.weight", f"{our_layers}attention.out.weight"),
        Rename(f"{layers}post_attention_layernorm.weight", f"{our_layers}post_attention_norm.weight"),
        Fuse(
            (f"{layers}mlp.gate_proj.weight", f"{layers}mlp.up_proj.weight"),
            f"{our_layers}mlp.gate_up.weight",
            rows=(config.intermediate_size,) * 2,
        ),
        Rename(f"{layers}mlp.down_proj.weight", f"{our_layers}mlp.down.weight"),
        Rename(f"{theirs}norm.weight", f"{ours}norm.weight"),
        Tied(head, same_as=embedding)
        if config.tie_word_embeddings
        else Rename(head, f"{ours}lm_head.weight"),
    )
