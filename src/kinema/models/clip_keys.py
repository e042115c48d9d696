"""The names of CLIP towers in files: those of transformers, which LanguageBind extends.

Every family whose files hold such towers puts its own prefix before them.
"""

from kinema.hub.keymap import Fuse, Ignore, Rename, Reshape, Rule
from kinema.modules.text.clip import CLIPTextConfig
from kinema.modules.vision.clip import CLIPVisionConfig


def vision_rules(config: CLIPVisionConfig, *, theirs: str, ours: str) -> tuple[Rule, ...]:
    """Rules of a vision tower, with its temporal blocks where it has them.

    Args:
        config: of the tower.
        theirs: what stands before its names in files, such as ``"vision_model."``.
        ours: what stands before them in our model.
    """
    tube = (1,) if config.has_frame_class_embeddings else ()  # of a Conv3d, one frame long
    patch = (3, *tube, config.patch_size, config.patch_size)
    embeddings, layers, our_layers = f"{theirs}embeddings.", f"{theirs}encoder.layers.*.", f"{ours}layers.*."
    temporal: tuple[Rule, ...] = ()
    if config.num_frames is not None:
        temporal = (
            Rename(f"{layers}temporal_embedding", f"{our_layers}temporal.embedding"),
            Rename(f"{layers}temporal_layer_norm1.*", f"{our_layers}temporal.norm.*"),
            *_attention_rules(
                config.hidden_size,
                theirs=f"{layers}temporal_attn.",
                ours=f"{our_layers}temporal.attention.",
            ),
        )
    return (
        Rename(f"{embeddings}class_embedding", f"{ours}class_embedding"),
        Reshape(f"{embeddings}patch_embedding.weight", f"{ours}patch_embedding.weight", their_columns=patch),
        Rename(f"{embeddings}position_embedding.weight", f"{ours}position_embedding.weight"),
        Ignore(f"{embeddings}position_ids", "it counts from 0"),
        Rename(f"{theirs}pre_layrnorm.*", f"{ours}pre_norm.*"),
        *temporal,
        *_layer_rules(config.hidden_size, theirs=layers, ours=f"{our_layers}spatial."),
        Rename(f"{theirs}post_layernorm.*", f"{ours}final_norm.*"),
    )


def text_rules(config: CLIPTextConfig, *, theirs: str, ours: str) -> tuple[Rule, ...]:
    """Rules of a text tower; arguments as for ``vision_rules``."""
    embeddings = f"{theirs}embeddings."
    return (
        Rename(f"{embeddings}token_embedding.weight", f"{ours}token_embedding.weight"),
        Rename(f"{embeddings}position_embedding.weight", f"{ours}position_embedding.weight"),
        Ignore(f"{embeddings}position_ids", "it counts from 0"),
        *_layer_rules(config.hidden_size, theirs=f"{theirs}encoder.layers.*.", ours=f"{ours}layers.*."),
        Rename(f"{theirs}final_layer_norm.*", f"{ours}final_norm.*"),
    )


def _layer_rules(hidden_size: int, *, theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        Rename(f"{theirs}layer_norm1.*", f"{ours}norm1.*"),
        *_attention_rules(hidden_size, theirs=f"{theirs}self_attn.", ours=f"{ours}attention."),
        Rename(f"{theirs}layer_norm2.*", f"{ours}norm2.*"),
        Rename(f"{theirs}mlp.fc1.*", f"{ours}mlp.fc1.*"),
        Rename(f"{theirs}mlp.fc2.*", f"{ours}mlp.fc2.*"),
    )


def _attention_rules(hidden_size: int, *, theirs: str, ours: str) -> tuple[Rule, ...]:
    fused = tuple(f"{theirs}{name}_proj.*" for name in "qkv")
    return (
        Fuse(fused, f"{ours}qkv.*", rows=(hidden_size,) * 3),
        Rename(f"{theirs}out_proj.*", f"{ours}out.*"),
    )
