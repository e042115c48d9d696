"""Models of the golden cases of InternVideo2's stage 2."""

from typing import Any

from golden_case import GoldenCase
from golden_towers import loaded, vision_config

from kinema.models.internvideo2.stage2 import InternVideo2Stage2, SoundConfig, Stage2Config
from kinema.models.internvideo2.stage2_keys import stage2_keymap
from kinema.models.internvideo2.student import StudentConfig
from kinema.modules.audio.beats import BEATsConfig
from kinema.modules.text.bert import BertConfig


def stage2_config(content: dict[str, Any]) -> Stage2Config:
    """The sizes of a case, which are named as in the original's config."""
    vision, text = content["vision"], content["text"]
    student = StudentConfig(
        vision=vision_config(vision),
        pooled_size=vision["clip_embed_dim"],
        clip_layers=vision["clip_return_layer"],
        clip_size=vision["clip_teacher_embed_dim"],
        clip_pooled_size=vision["clip_teacher_final_dim"],
        mae_layers=0,
    )
    hears = "audio" in content
    bert = BertConfig(
        vocab_size=text["vocab_size"],
        hidden_size=text["hidden_size"],
        intermediate_size=text["intermediate_size"],
        num_layers=text["num_hidden_layers"],
        num_heads=text["num_attention_heads"],
        max_positions=text["max_position_embeddings"],
        fusion_layer=text["fusion_layer"],
        memory_size=content["av_concat_dim"] if hears else vision["embed_dim"],
    )
    sound = SoundConfig(encoder=beats_config(content["audio"]), has_match_head=True) if hears else None
    return Stage2Config(vision=student, text=bert, projection_size=content["embed_dim"], sound=sound)


def beats_config(content: dict[str, Any]) -> BEATsConfig:
    """The sizes of an encoder of sound, which are named as in BEATs' own config."""
    return BEATsConfig(
        hidden_size=content["encoder_embed_dim"],
        intermediate_size=content["encoder_ffn_embed_dim"],
        num_layers=content["encoder_layers"],
        num_heads=content["encoder_attention_heads"],
        patch_size=content["input_patch_size"],
        patch_embedding_size=content["embed_dim"],
        position_kernel=content["conv_pos"],
        position_groups=content["conv_pos_groups"],
        num_buckets=content["num_buckets"],
        max_distance=content["max_distance"],
    )


def stage2_model(case: GoldenCase) -> InternVideo2Stage2:
    """The model of a case, with its weights."""
    config = stage2_config(case.config)
    return loaded(InternVideo2Stage2(config), stage2_keymap(config), case.weights())
