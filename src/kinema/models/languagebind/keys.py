"""The names that LanguageBind's weights have in files: those of transformers' CLIP and some more."""

from kinema.hub.keymap import Ignore, KeyMap, Rename
from kinema.models.clip_keys import text_rules, vision_rules
from kinema.models.languagebind.config import LanguageBindConfig
from kinema.modules.vision.clip import CLIPVisionConfig

LAYOUT = "official"
"""The only one there is."""


def model_keymap(config: LanguageBindConfig) -> KeyMap:
    """The rules between a whole model and its files."""
    return KeyMap(
        "LanguageBind",
        (
            *vision_rules(config.vision, theirs="vision_model.", ours="vision_encoder."),
            *text_rules(config.text, theirs="text_model.", ours="text_encoder."),
            Rename("visual_projection.weight", "visual_projection.weight"),
            Rename("text_projection.weight", "text_projection.weight"),
            Rename("logit_scale", "logit_scale"),
        ),
    )


def vision_keymap(config: CLIPVisionConfig) -> KeyMap:
    """The rules between the tower of a modality alone and the files of a whole model."""
    return KeyMap(
        "LanguageBind vision tower",
        (
            *vision_rules(config, theirs="vision_model.", ours=""),
            Ignore("text_model.**", "the tower is wanted alone"),
            Ignore("visual_projection.weight", "it leads into the space shared with text"),
            Ignore("text_projection.weight", "it leads into the space shared with text"),
            Ignore("logit_scale", "it belongs to that space"),
        ),
    )
