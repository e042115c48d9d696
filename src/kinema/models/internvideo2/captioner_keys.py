"""The names of an audio captioner in files: those of the chat model, with BEATs' where that has its eyes.

They are ours, as nothing was released; each part has the names that it was published with.
"""

from kinema.hub.keymap import KeyMap, Rename
from kinema.models.beats_keys import beats_rules
from kinema.models.decoder_keys import decoder_rules
from kinema.models.internvideo2.captioner import CaptionerConfig
from kinema.models.internvideo2.chat_keys import bridge_rules


def captioner_keymap(config: CaptionerConfig) -> KeyMap:
    """The rules between a whole model and its files."""
    return KeyMap(
        "InternVideo2's audio captioner",
        (
            *beats_rules(config.audio, theirs="audio_encoder.", ours="audio_encoder."),
            *bridge_rules(config.bridge.hidden_size),
            Rename("project_up.*", "up_projection.*"),
            *decoder_rules(
                config.language, theirs="lm.model.", ours="language_model.", head="lm.lm_head.weight"
            ),
        ),
    )
