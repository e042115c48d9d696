"""The names of a BEATs encoder in files: those of microsoft/unilm.

Every family whose files hold one puts its own prefix before them.
"""

from kinema.hub.keymap import Fuse, Rename, Reshape, Rule, Tied
from kinema.modules.audio.beats import BEATsConfig


def beats_rules(config: BEATsConfig, *, theirs: str, ours: str) -> tuple[Rule, ...]:
    """Rules of an encoder.

    Args:
        config: of the encoder.
        theirs: what stands before its names in files, such as ``"audio_encoder."``.
        ours: what stands before them in our model.
    """
    layers, our_layers = f"{theirs}encoder.layers.*.", f"{ours}layers.*."
    attention, our_attention = f"{layers}self_attn.", f"{our_layers}attention."
    convolution = f"{theirs}encoder.pos_conv.0."
    table = f"{theirs}encoder.layers.{{}}.self_attn.relative_attention_bias.weight"
    return (
        Reshape(
            f"{theirs}patch_embedding.weight",
            f"{ours}patch_embedding.weight",
            their_columns=(1, config.patch_size, config.patch_size),
        ),
        Rename(f"{theirs}layer_norm.*", f"{ours}patch_norm.*"),
        Rename(f"{theirs}post_extract_proj.*", f"{ours}patch_projection.*"),
        Rename(f"{convolution}weight_v", f"{ours}position.direction"),
        Rename(f"{convolution}weight_g", f"{ours}position.length"),
        Rename(f"{convolution}bias", f"{ours}position.bias"),
        Rename(f"{theirs}encoder.layer_norm.*", f"{ours}norm.*"),
        Rename(table.format(0), f"{ours}distance_bias.weight"),
        *(
            Tied(table.format(layer), same_as=table.format(0), is_written=True)
            for layer in range(1, config.num_layers)
        ),
        Fuse(
            tuple(f"{attention}{name}_proj.*" for name in "qkv"),
            f"{our_attention}qkv.*",
            rows=(config.hidden_size,) * 3,
        ),
        Rename(f"{attention}out_proj.*", f"{our_attention}out.*"),
        Rename(f"{attention}grep_linear.*", f"{our_attention}gate.*"),
        Rename(f"{attention}grep_a", f"{our_attention}gate_scale"),
        Rename(f"{layers}self_attn_layer_norm.*", f"{our_layers}norm1.*"),
        Rename(f"{layers}fc1.*", f"{our_layers}mlp.fc1.*"),
        Rename(f"{layers}fc2.*", f"{our_layers}mlp.fc2.*"),
        Rename(f"{layers}final_layer_norm.*", f"{our_layers}norm2.*"),
    )
