"""The names of BERT's weights in files: those of transformers, with ALBEF's cross-attention.

Every family whose files hold one puts its own prefix before them.
"""

from kinema.hub.keymap import Fuse, Ignore, Rename, Rule, Tied
from kinema.modules.text.bert import BertConfig


def bert_rules(config: BertConfig, *, theirs: str, ours: str) -> tuple[Rule, ...]:
    """Rules of an encoder with its head for masked words, ``BertForMaskedLM`` in files.

    Args:
        config: of the encoder.
        theirs: what stands before its names in files, such as ``"text_encoder."``.
        ours: what stands before them in our model.
    """
    embeddings, head = f"{theirs}bert.embeddings.", f"{theirs}cls.predictions."
    layers, our_layers = f"{theirs}bert.encoder.layer.*.", f"{ours}layers.*."
    words = f"{embeddings}word_embeddings.weight"
    return (
        Rename(words, f"{ours}embeddings.word.weight"),
        Rename(f"{embeddings}position_embeddings.weight", f"{ours}embeddings.position.weight"),
        Rename(f"{embeddings}token_type_embeddings.weight", f"{ours}embeddings.token_type.weight"),
        Rename(f"{embeddings}LayerNorm.*", f"{ours}embeddings.norm.*"),
        Ignore(f"{embeddings}position_ids", "it counts from 0"),
        *attention_rules(config.hidden_size, theirs=f"{layers}attention.", ours=f"{our_layers}attention."),
        Rename(f"{layers}attention.output.LayerNorm.*", f"{our_layers}norm1.*"),
        *cross_attention_rules(
            config.hidden_size, theirs=f"{layers}crossattention.", ours=f"{our_layers}cross_attention."
        ),
        Rename(f"{layers}crossattention.output.LayerNorm.*", f"{our_layers}cross_norm.*"),
        Rename(f"{layers}intermediate.dense.*", f"{our_layers}mlp.fc1.*"),
        Rename(f"{layers}output.dense.*", f"{our_layers}mlp.fc2.*"),
        Rename(f"{layers}output.LayerNorm.*", f"{our_layers}norm2.*"),
        Rename(f"{head}transform.dense.*", f"{ours}word_head.transform.*"),
        Rename(f"{head}transform.LayerNorm.*", f"{ours}word_head.norm.*"),
        Rename(f"{head}bias", f"{ours}word_head.bias"),
        Tied(f"{head}decoder.bias", same_as=f"{head}bias", is_written=True),
        Tied(f"{head}decoder.weight", same_as=words, is_written=True),
    )


def attention_rules(hidden_size: int, *, theirs: str, ours: str) -> tuple[Rule, ...]:
    """Rules of self-attention without its norm."""
    fused = tuple(f"{theirs}self.{name}.*" for name in ("query", "key", "value"))
    return (
        Fuse(fused, f"{ours}qkv.*", rows=(hidden_size,) * 3),
        Rename(f"{theirs}output.dense.*", f"{ours}out.*"),
    )


def cross_attention_rules(hidden_size: int, *, theirs: str, ours: str) -> tuple[Rule, ...]:
    """Rules of cross-attention without its norm."""
    fused = tuple(f"{theirs}self.{name}.*" for name in ("key", "value"))
    return (
        Rename(f"{theirs}self.query.*", f"{ours}query.*"),
        Fuse(fused, f"{ours}key_value.*", rows=(hidden_size,) * 2),
        Rename(f"{theirs}output.dense.*", f"{ours}out.*"),
    )
