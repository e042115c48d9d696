"""An audio captioner as its training begins: published ears, a language model of text, a bridge of chance."""

from pathlib import Path

import torch

from kinema.hub.files import open_checkpoint
from kinema.hub.keymap import KeyMap
from kinema.models.beats_keys import beats_rules
from kinema.models.decoder_checkpoint import DecoderType, load_decoder
from kinema.models.internvideo2.bridge_start import draw_bridge
from kinema.models.internvideo2.captioner import AudioCaptioner, CaptionerConfig
from kinema.models.internvideo2.stage2_shapes import beats_sizes
from kinema.models.internvideo2.weights import load_network
from kinema.modules.audio.beats import BEATs
from kinema.modules.connectors.qformer import QFormerConfig


def assemble_captioner(
    audio: Path,
    language: Path,
    generator: torch.Generator,
    *,
    bridge: QFormerConfig | None = None,
    language_type: DecoderType = "mistral",
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> AudioCaptioner:
    """Put a model together from the parts that its training starts from (arXiv 2403.15377, VidCap).

    The paper names BEATs, a Q-Former and a language model, and no sizes: the defaults are the chat model's.

    Args:
        audio: a file with the weights of BEATs alone, such as ``audio_6b.pth`` of
            OpenGVLab/InternVideo2-Stage2_6B-Audio, which hears 64 mel bins.
        language: folder of a language model, such as mistralai/Mistral-7B-Instruct-v0.3.
        generator: draws the bridge.
        bridge: sizes of the Q-Former; None for those of the chat model.
        language_type: what the language model must be.
        dtype: what to cast the weights to as they are read; None keeps what the files have.
        device: where the weights go.

    Raises:
        WeightsError: if a part is not whole, or of another architecture.
        ConfigError: if the bridge does not look at tokens as wide as those of the ears.
    """
    ears = load_beats(audio, dtype=dtype, device=device)
    decoder = load_decoder(language, language_type, dtype=dtype, device=device)
    sizes = bridge or QFormerConfig(memory_size=ears.config.hidden_size)
    config = CaptionerConfig(audio=ears.config, bridge=sizes, language=decoder.config)
    with torch.device("meta"):
        model = AudioCaptioner(config)
    model.audio_encoder, model.language_model = ears, decoder
    for part in (model.connector, model.up_projection):
        part.to_empty(device=device).to(decoder.embed_tokens.weight.dtype)
        draw_bridge(part, generator)
    return model.eval()


def load_beats(
    source: Path, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> BEATs:
    """BEATs alone, sizes by its shapes; arguments and errors as for ``assemble_captioner``."""
    files = open_checkpoint(source)
    config = beats_sizes(files.shapes)
    keymap = KeyMap("BEATs", beats_rules(config, theirs="", ours=""))
    return load_network(lambda: BEATs(config), keymap, files, dtype, device)
