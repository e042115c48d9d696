"""The names that VideoLLaMA3's weights have in files: four layouts that differ in prefixes only.

Qwen2's and SigLIP's own names stand behind the prefixes; shapes and suffixes are the same in all layouts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from kinema.errors import WeightsError
from kinema.hub.keymap import Fuse, Ignore, KeyMap, Rename, Reshape, Rule
from kinema.models.decoder_keys import decoder_rules
from kinema.models.videollama3.config import VideoLLaMA3Config
from kinema.modules.vision.navit import NaViTConfig


class Layout(StrEnum):
    """Who writes a whole model like this."""

    OFFICIAL = "official"
    """The released checkpoints, DAMO-NLP-SG/VideoLLaMA3-2B and the like."""
    TRAINER = "trainer"
    """The official training scripts, which nest the encoder once more."""
    TRANSFORMERS = "transformers"
    """transformers' own class, ``video_llama_3``."""


@dataclass(frozen=True, kw_only=True)
class _Prefixes:
    vision: str
    connector: str
    decoder: str


_PREFIXES = {
    Layout.OFFICIAL: _Prefixes(
        vision="model.vision_encoder.", connector="model.mm_projector.", decoder="model."
    ),
    Layout.TRAINER: _Prefixes(
        vision="model.vision_encoder.vision_encoder.", connector="model.mm_projector.", decoder="model."
    ),
    Layout.TRANSFORMERS: _Prefixes(
        vision="model.vision_model.", connector="model.projector.", decoder="model.language_model."
    ),
}


def model_keymap(config: VideoLLaMA3Config, layout: Layout) -> KeyMap:
    """The rules between a whole model and its files."""
    prefixes = _PREFIXES[layout]
    return KeyMap(
        layout,
        (
            *_vision_rules(config.vision, theirs=prefixes.vision, ours="vision_encoder."),
            *_connector_rules(theirs=prefixes.connector, ours="connector."),
            *decoder_rules(config.language, theirs=prefixes.decoder, ours="language_model."),
        ),
    )


def detect_layout(keys: Iterable[str]) -> Layout:
    """The layout of a whole model, by its keys.

    Raises:
        WeightsError: if they are of none.
    """
    names = list(keys)
    by_length = sorted(_PREFIXES, key=lambda layout: len(_PREFIXES[layout].vision), reverse=True)
    for layout in by_length:  # the longest first: one prefix begins with another
        if any(name.startswith(_PREFIXES[layout].vision) for name in names):
            return layout
    raise WeightsError(
        f"no VideoLLaMA3 layout names its keys like {', '.join(names[:3]) or 'none at all'}; "
        f"expected the vision encoder under one of: {', '.join(p.vision for p in _PREFIXES.values())}."
    )


def encoder_keymap(config: NaViTConfig, keys: Iterable[str]) -> KeyMap:
    """The rules between an encoder alone and its files, VL3-SigLIP-NaViT or stock SigLIP.

    Rotary positions take the place of SigLIP's learned ones, and features are not pooled, so its position
    embedding and its pooling head have no counterpart, and neither has its text tower.
    """
    if not any(key.startswith("vision_model.") for key in keys):
        return KeyMap("vision encoder", _vision_rules(config, theirs="", ours=""))
    dropped = (
        Ignore("vision_model.embeddings.position_embedding.weight", "rotary positions take its place"),
        Ignore("vision_model.head.**", "features are not pooled"),
        Ignore("text_model.**", "the language model reads the text"),
        Ignore("logit_*", "scale of SigLIP's own loss"),
    )
    return KeyMap("SigLIP", (*_vision_rules(config, theirs="vision_model.", ours=""), *dropped))


def encoder_of_model_keymap(config: NaViTConfig, layout: Layout) -> KeyMap:
    """The rules between an encoder and a whole model's files, of which all else is left out."""
    prefixes = _PREFIXES[layout]
    others = (
        prefixes.connector,
        *(f"{prefixes.decoder}{name}." for name in ("embed_tokens", "layers", "norm")),
    )
    dropped = (Ignore(f"{other}**", "the encoder alone is wanted") for other in (*others, "lm_head."))
    return KeyMap(layout, (*_vision_rules(config, theirs=prefixes.vision, ours=""), *dropped))


def connector_keymap(keys: Iterable[str]) -> KeyMap:
    """The rules between a connector alone and ``mm_projector.bin``, under any prefix."""
    prefix = next((key.partition("readout.")[0] for key in keys if "readout." in key), "")
    return KeyMap("projector", _connector_rules(theirs=prefix, ours=""))


def _vision_rules(config: NaViTConfig, *, theirs: str, ours: str) -> tuple[Rule, ...]:
    patch = (3, config.patch_size, config.patch_size)
    layers, our_layers = f"{theirs}encoder.layers.*.", f"{ours}layers.*."
    embedding, our_embedding = f"{theirs}embeddings.patch_embedding.", f"{ours}patch_embedding."
    return (
        Reshape(f"{embedding}weight", f"{our_embedding}weight", their_columns=patch),
        Rename(f"{embedding}bias", f"{our_embedding}bias"),
        Rename(f"{layers}layer_norm1.*", f"{our_layers}norm1.*"),
        Fuse(
            tuple(f"{layers}self_attn.{name}_proj.*" for name in "qkv"),
            f"{our_layers}attention.qkv.*",
            rows=(config.hidden_size,) * 3,
        ),
        Rename(f"{layers}self_attn.out_proj.*", f"{our_layers}attention.out.*"),
        Rename(f"{layers}layer_norm2.*", f"{our_layers}norm2.*"),
        Rename(f"{layers}mlp.fc1.*", f"{our_layers}mlp.fc1.*"),
        Rename(f"{layers}mlp.fc2.*", f"{our_layers}mlp.fc2.*"),
        Rename(f"{theirs}post_layernorm.*", f"{ours}final_norm.*"),
    )


def _connector_rules(*, theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        Rename(f"{theirs}readout.0.*", f"{ours}fc1.*"),
        Rename(f"{theirs}readout.2.*", f"{ours}fc2.*"),
    )
