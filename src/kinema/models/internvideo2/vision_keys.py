"""The names that InternVideo2's vision networks have in files (OpenGVLab/InternVideo).

The same names stand in the files of every stage, in later ones behind ``vision_encoder.``.
"""

from typing import Literal

from kinema.hub.keymap import Ignore, KeyMap, Rename, Reshape, Rule, Unsqueeze
from kinema.modules.vision.videomae import TUBELET_SIZE

ScaleNames = Literal["gamma", "raw"]
"""What the scales of residuals are called: ``ls1.gamma``, or ``ls1`` in the files of the chat models."""

PREFIX = "vision_encoder."
"""What stands before the names in the files of whole models."""


def encoder_rules(
    patch_size: int, *, theirs: str, ours: str, scales: ScaleNames = "gamma"
) -> tuple[Rule, ...]:
    """Rules of ``InternVideo2Vision``.

    Args:
        patch_size: of the encoder.
        theirs: what stands before its names in files, such as ``"vision_encoder."``.
        ours: what stands before them in our model.
        scales: what the scales of residuals are called.
    """
    blocks, layers = f"{theirs}blocks.*.", f"{ours}layers.*."
    gamma = ".gamma" if scales == "gamma" else ""
    return (
        Unsqueeze(f"{theirs}cls_token", f"{ours}class_token", num_ones=2),
        Unsqueeze(f"{theirs}pos_embed", f"{ours}positions.video"),
        Unsqueeze(f"{theirs}img_pos_embed", f"{ours}positions.image"),
        Reshape(
            f"{theirs}patch_embed.proj.weight",
            f"{ours}patch_embedding.weight",
            their_columns=(3, 1, patch_size, patch_size),
        ),
        Rename(f"{theirs}patch_embed.proj.bias", f"{ours}patch_embedding.bias"),
        Rename(f"{blocks}norm1.weight", f"{layers}norm1.weight"),
        Rename(f"{blocks}norm2.weight", f"{layers}norm2.weight"),
        Rename(f"{blocks}attn.qkv.weight", f"{layers}attention.qkv.weight"),
        Rename(f"{blocks}attn.q_norm.weight", f"{layers}attention.query_norm.weight"),
        Rename(f"{blocks}attn.k_norm.weight", f"{layers}attention.key_norm.weight"),
        Rename(f"{blocks}attn.proj.*", f"{layers}attention.out.*"),
        Rename(f"{blocks}ls1{gamma}", f"{layers}scale1"),
        Rename(f"{blocks}ls2{gamma}", f"{layers}scale2"),
        Rename(f"{blocks}mlp.*.*", f"{layers}mlp.*.*"),
    )


def pool_rules(*, theirs: str, ours: str) -> tuple[Rule, ...]:
    """Rules of ``AttentionPool``; arguments as for ``encoder_rules``."""
    attention = f"{theirs}cross_attn."
    parts = {"q": "query", "k": "key", "v": "value"}
    return (
        *(Rename(f"{theirs}norm1_{letter}.*", f"{ours}{part}_norm.*") for letter, part in parts.items()),
        *(Rename(f"{attention}{letter}.weight", f"{ours}{part}.weight") for letter, part in parts.items()),
        *(Rename(f"{attention}{letter}_bias", f"{ours}{part}.bias") for letter, part in parts.items()),
        Rename(f"{attention}proj.*", f"{ours}out.*"),
    )


def tower_rules(patch_size: int, *, theirs: str, ours: str) -> tuple[Rule, ...]:
    """Rules of ``InternVideo2Tower``; arguments as for ``encoder_rules``."""
    return (
        *encoder_rules(patch_size, theirs=theirs, ours=f"{ours}encoder."),
        *pool_rules(theirs=f"{theirs}clip_projector.", ours=f"{ours}pool."),
    )


def student_rules(patch_size: int, *, theirs: str = "", ours: str = "") -> tuple[Rule, ...]:
    """Rules of ``InternVideo2Student``: stage 1, the vision part of stage 2, distilled models.

    Arguments are as for ``encoder_rules``.
    """
    return (
        *tower_rules(patch_size, theirs=theirs, ours=f"{ours}vision_encoder."),
        Unsqueeze(f"{theirs}clip_pos_embed", f"{ours}clip_positions.video"),
        Unsqueeze(f"{theirs}clip_img_pos_embed", f"{ours}clip_positions.image"),
        Unsqueeze(f"{theirs}mae_pos_embed", f"{ours}mae_positions.video"),
        *_decoder_rules(theirs=f"{theirs}clip_decoder.*.", ours=f"{ours}clip_decoders.*."),
        *_decoder_rules(theirs=f"{theirs}final_clip_decoder.", ours=f"{ours}clip_pooled_decoder."),
        *_decoder_rules(theirs=f"{theirs}mae_decoder.*.", ours=f"{ours}mae_decoders.*."),
    )


def _decoder_rules(*, theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        Rename(f"{theirs}head.*", f"{ours}head.*"),
        Rename(f"{theirs}head.*.*", f"{ours}head.*.*"),
        Rename(f"{theirs}norm.*", f"{ours}norm.*"),
    )


def tower_keymap(patch_size: int, *, beside: tuple[Rule, ...] = ()) -> KeyMap:
    """The rules between a tower and a file.

    Args:
        patch_size: of the tower.
        beside: what else the file holds, such as ``ignored_decoders()``.
    """
    return KeyMap("InternVideo2 vision tower", (*tower_rules(patch_size, theirs="", ours=""), *beside))


def student_keymap(patch_size: int) -> KeyMap:
    """The rules between a student and its file."""
    return KeyMap("InternVideo2 pre-training", student_rules(patch_size))


def classifier_keymap(patch_size: int) -> KeyMap:
    """The rules between a classifier and its file."""
    return KeyMap(
        "InternVideo2 classifier",
        (
            *tower_rules(patch_size, theirs="", ours="vision_encoder."),
            Rename("fc_norm.*", "norm.*"),
            Rename("head.*", "head.*"),
            Rename("extra_mlp.0.*", "residual_mlp.norm.*"),
            Rename("extra_mlp.1.*.*", "residual_mlp.mlp.*.*"),
            Rename("down.0.*", "frame_reader.down.*"),
            Rename("down_norm.*", "frame_reader.norm.*"),
        ),
    )


def ignored_decoders(theirs: str = "") -> tuple[Ignore, ...]:
    """What students have and a tower alone has no use for."""
    reason = "it predicts teachers' features, which training alone needs"
    names = ("clip_pos_embed", "clip_img_pos_embed", "mae_pos_embed")
    stacks = ("clip_decoder", "final_clip_decoder", "mae_decoder")
    return (
        *(Ignore(f"{theirs}{name}", reason) for name in names),
        *(Ignore(f"{theirs}{name}.**", reason) for name in stacks),
    )


def ignored_of_stage2() -> tuple[Ignore, ...]:
    """What the files of stage 2 and of the CLIP models have beside the vision part."""
    reason = "the vision part is wanted alone"
    names = ("temp", "vision_proj.*", "text_proj.*", "vision_align.**", "text_encoder.**", "itm_head.*")
    of_sound = ("audio_encoder.**", "audio_proj.*", "av_concat_vision_proj.**", "av_concat_audio_proj.**")
    of_both = ("av_fusion.*", "avtm_head.*", "atm_head.*")
    return tuple(Ignore(name, reason) for name in (*names, *of_sound, *of_both))


def videomae_keymap(patch_size: int) -> KeyMap:
    """The rules between ``VideoMAE`` and the file it was published in, decoder and all."""
    blocks, layers = "encoder.blocks.*.", "layers.*."
    reason = "it paints pixels, which a teacher of features does not"
    return KeyMap(
        "VideoMAE V2",
        (
            Reshape(
                "encoder.patch_embed.proj.weight",
                "patch_embedding.weight",
                their_columns=(3, TUBELET_SIZE, patch_size, patch_size),
            ),
            Rename("encoder.patch_embed.proj.bias", "patch_embedding.bias"),
            Rename(f"{blocks}norm1.*", f"{layers}norm1.*"),
            Rename(f"{blocks}attn.qkv.weight", f"{layers}attention.qkv.weight"),
            Rename(f"{blocks}attn.q_bias", f"{layers}attention.query_bias"),
            Rename(f"{blocks}attn.v_bias", f"{layers}attention.value_bias"),
            Rename(f"{blocks}attn.proj.*", f"{layers}attention.out.*"),
            Rename(f"{blocks}norm2.*", f"{layers}norm2.*"),
            Rename(f"{blocks}mlp.*.*", f"{layers}mlp.*.*"),
            Rename("encoder.norm.*", "final_norm.*"),
            Ignore("decoder.**", reason),
            Ignore("encoder_to_decoder.**", reason),
            Ignore("mask_token", reason),
        ),
    )
