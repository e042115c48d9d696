"""The names that InternVideo2-CLIP's weights have in files, and those of the files it is put together
from."""

from kinema.hub.keymap import Ignore, KeyMap, Rename, Rule, Unsqueeze
from kinema.models.decoder_keys import decoder_rules
from kinema.models.internvideo2.clip import InternVideo2CLIPConfig
from kinema.models.internvideo2.vision_keys import PREFIX, ignored_decoders, ignored_of_stage2, tower_rules

TEXT_PREFIX = "text_encoder."
TRAINED = ("temp", f"{PREFIX}clip_projector.", "vision_align.")
"""How the names begin of what was trained, and is published alone."""


def clip_keymap(config: InternVideo2CLIPConfig) -> KeyMap:
    """The rules between a whole model and its file."""
    if config.decoder is not None:
        text: tuple[Rule, ...] = (
            *decoder_rules(
                config.decoder,
                theirs=f"{TEXT_PREFIX}transformer.",
                ours="text_encoder.decoder.",
                head=f"{TEXT_PREFIX}lm_head.weight",
            ),
            Rename(f"{TEXT_PREFIX}text_projection", "text_projection"),
        )
    else:
        text = (
            *_mobileclip_rules(theirs=TEXT_PREFIX, ours="text_encoder."),
            Rename(f"{TEXT_PREFIX}projection_layer", "text_projection"),
        )
    return KeyMap(
        "InternVideo2-CLIP",
        (
            *tower_rules(config.vision.patch_size, theirs=PREFIX, ours="vision_encoder."),
            Rename("vision_align.*.*", "vision_align.*.*"),
            Rename("temp", "temperature"),
            *text,
        ),
    )


def ignored_of_vision_file() -> tuple[Ignore, ...]:
    """What a file of stage 2, or of a distilled encoder, holds that a CLIP model does without.

    Images' own positions too: they get the mean over time of a clip's, as the models were trained with.
    """
    reason = "images get the mean over time of a clip's positions"
    return (
        *ignored_decoders(PREFIX),
        *ignored_decoders(),
        Ignore(f"{PREFIX}img_pos_embed", reason),
        *ignored_of_stage2(),
    )


def ignored_of_text_file() -> tuple[Ignore, ...]:
    """What InternVL-C and MobileCLIP hold beside their text towers."""
    reason = "the text tower is wanted alone"
    of_internvl = ("cls_token", "pos_embed", "patch_embed.**", "blocks.**", "clip_projector.**", "visual.**")
    of_mobileclip = ("image_encoder.**",)
    return tuple(Ignore(name, reason) for name in (*of_internvl, *of_mobileclip, "logit_scale"))


def _mobileclip_rules(*, theirs: str, ours: str) -> tuple[Rule, ...]:
    """Rules of ``CLIPText`` in the names of MobileCLIP (arXiv 2311.17049; apple/ml-mobileclip)."""
    blocks, layers = f"{theirs}transformer.*.", f"{ours}layers.*."
    positions = f"{theirs}positional_embedding.pos_embed.pos_embed"
    return (
        Rename(f"{theirs}embedding_layer.weight", f"{ours}token_embedding.weight"),
        Unsqueeze(positions, f"{ours}position_embedding.weight", num_ones=2),
        Rename(f"{blocks}pre_norm_mha.0.*", f"{layers}norm1.*"),
        Rename(f"{blocks}pre_norm_mha.1.qkv_proj.*", f"{layers}attention.qkv.*"),
        Rename(f"{blocks}pre_norm_mha.1.out_proj.*", f"{layers}attention.out.*"),
        Rename(f"{blocks}pre_norm_ffn.0.*", f"{layers}norm2.*"),
        Rename(f"{blocks}pre_norm_ffn.1.*", f"{layers}mlp.fc1.*"),
        Rename(f"{blocks}pre_norm_ffn.4.*", f"{layers}mlp.fc2.*"),
        Rename(f"{theirs}final_layer_norm.*", f"{ours}final_norm.*"),
    )
