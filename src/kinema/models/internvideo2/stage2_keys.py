"""The names that stage 2 of InternVideo2 has in files (OpenGVLab/InternVideo)."""

from kinema.hub.keymap import KeyMap, Rename, Rule
from kinema.models.beats_keys import beats_rules
from kinema.models.bert_keys import bert_rules
from kinema.models.internvideo2.stage2 import SoundConfig, Stage2Config
from kinema.models.internvideo2.vision_keys import PREFIX, student_rules


def stage2_keymap(config: Stage2Config) -> KeyMap:
    """The rules between a whole model and its file."""
    return KeyMap(
        "InternVideo2 stage 2",
        (
            *student_rules(config.vision.vision.patch_size, theirs=PREFIX, ours="vision_encoder."),
            *bert_rules(config.text, theirs="text_encoder.", ours="text_encoder."),
            Rename("vision_proj.*", "vision_projection.*"),
            Rename("text_proj.*", "text_projection.*"),
            Rename("itm_head.*", "match_head.*"),
            Rename("temp", "temperature"),
            *(() if config.sound is None else _sound_rules(config.sound)),
        ),
    )


def _sound_rules(sound: SoundConfig) -> tuple[Rule, ...]:
    return (
        *beats_rules(sound.encoder, theirs="audio_encoder.", ours="hearing.audio_encoder."),
        Rename("audio_proj.*", "hearing.audio_projection.*"),
        Rename("av_concat_audio_proj.0.*", "hearing.audio_tokens.linear.*"),
        Rename("av_concat_audio_proj.1.*", "hearing.audio_tokens.norm.*"),
        Rename("av_concat_vision_proj.0.*", "hearing.vision_tokens.linear.*"),
        Rename("av_concat_vision_proj.1.*", "hearing.vision_tokens.norm.*"),
        Rename("av_fusion.*", "hearing.joint_projection.*"),
        Rename("atm_head.*", "hearing.match_heads.audio.*"),
        Rename("avtm_head.*", "hearing.match_heads.audio_video.*"),
    )
