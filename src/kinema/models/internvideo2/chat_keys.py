"""The names that InternVideo2's chat models have in files.

Those of peft around the language model, and its low-rank updates, are taken away as files are read, see
``hub.lora``.
"""

from kinema.hub.keymap import Ignore, KeyMap, Rename, Rule, Unsqueeze
from kinema.models.bert_keys import attention_rules, cross_attention_rules
from kinema.models.decoder_keys import DECODER_NAMES, decoder_rules
from kinema.models.internvideo2.chat import ChatConfig
from kinema.models.internvideo2.vision_keys import PREFIX, encoder_rules


def chat_keymap(config: ChatConfig) -> KeyMap:
    """The rules between a whole model and its files, with updates merged."""
    return KeyMap(
        "InternVideo2-Chat",
        (
            *encoder_rules(config.vision.patch_size, theirs=PREFIX, ours="vision_encoder.", scales="raw"),
            Rename("vision_layernorm.*", "vision_norm.*"),
            *bridge_rules(config.bridge.hidden_size),
            Rename("project_up.*", "up_projection.*"),
            Rename("project_down.*", "down_projection.*"),
            *decoder_rules(
                config.language,
                theirs="lm.model.",
                ours="language_model.",
                head=f"lm.{DECODER_NAMES[config.layout].head}",
                layout=config.layout,
            ),
        ),
    )


def bridge_rules(width: int) -> tuple[Rule, ...]:
    """The rules of the Q-Former and its queries, which a model that hears has under the same names."""
    embeddings = "qformer.bert.embeddings."
    layers, ours = "qformer.bert.encoder.layer.*.", "connector.layers.*."
    return (
        Unsqueeze("query_tokens", "connector.queries"),
        Unsqueeze("extra_query_tokens", "connector.extra_queries"),
        Rename(f"{embeddings}word_embeddings.weight", "connector.word.weight"),
        Rename(f"{embeddings}position_embeddings.weight", "connector.position.weight"),
        Rename(f"{embeddings}LayerNorm.*", "connector.norm.*"),
        Ignore(f"{embeddings}position_ids", "it counts from 0"),
        *attention_rules(width, theirs=f"{layers}attention.", ours=f"{ours}attention."),
        Rename(f"{layers}attention.output.LayerNorm.*", f"{ours}norm1.*"),
        *cross_attention_rules(width, theirs=f"{layers}crossattention.", ours=f"{ours}cross_attention."),
        Rename(f"{layers}crossattention.output.LayerNorm.*", f"{ours}cross_norm.*"),
        Rename(f"{layers}intermediate.dense.*", f"{ours}text_mlp.fc1.*"),
        Rename(f"{layers}output.dense.*", f"{ours}text_mlp.fc2.*"),
        Rename(f"{layers}output.LayerNorm.*", f"{ours}text_norm.*"),
        Rename(f"{layers}intermediate_query.dense.*", f"{ours}query_mlp.fc1.*"),
        Rename(f"{layers}output_query.dense.*", f"{ours}query_mlp.fc2.*"),
        Rename(f"{layers}output_query.LayerNorm.*", f"{ours}query_norm.*"),
    )
