"""The names that Video-LLaVA's weights have in files: the official ones, and transformers' in all spellings.

CLIP's and Llama's own names stand behind the prefixes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from kinema.errors import WeightsError
from kinema.hub.keymap import Ignore, KeyMap, Rename, Rule
from kinema.models.clip_keys import vision_rules
from kinema.models.decoder_keys import decoder_rules
from kinema.models.video_llava.config import VideoLLaVAConfig


class Layout(StrEnum):
    """Who writes a whole model like this."""

    OFFICIAL = "official"
    """LanguageBind/Video-LLaVA-7B, both towers in it."""
    TRANSFORMERS = "transformers"
    """transformers' own class, ``video_llava``, which has no attention over time."""


@dataclass(frozen=True, kw_only=True)
class _Prefixes:
    tower: str
    """``{}`` is the modality."""
    first_layer: str
    """Of the connector, and so are the two lines below."""
    second_layer: str
    decoder: str
    head: str


_OFFICIAL = _Prefixes(
    tower="model.{0}_tower.{0}_tower.",
    first_layer="model.mm_projector.0.",
    second_layer="model.mm_projector.2.",
    decoder="model.",
    head="lm_head.weight",
)
_TRANSFORMERS = _Prefixes(
    tower="{}_tower.vision_model.",
    first_layer="multi_modal_projector.linear_1.",
    second_layer="multi_modal_projector.linear_2.",
    decoder="language_model.model.",
    head="language_model.lm_head.weight",
)
"""As on the hub. Every version reads it; what versions write differs in each part on its own."""

_OTHER_SPELLINGS = {
    "tower": ("model.{}_tower.vision_model.", "model.{}_tower.", "{}_tower."),
    "first_layer": ("model.multi_modal_projector.linear_1.",),
    "second_layer": ("model.multi_modal_projector.linear_2.",),
    "decoder": ("model.language_model.model.", "model.language_model."),
    "head": ("lm_head.weight",),
}
"""Of parts of ``_TRANSFORMERS``; where one begins with another, the longer stands first."""


def model_keymap(config: VideoLLaVAConfig, layout: Layout, keys: Iterable[str] = ()) -> KeyMap:
    """The rules between a whole model and its files.

    Args:
        config: of the model.
        layout: of the files.
        keys: of the files, by which transformers' spellings are told apart; none gives that of the hub.
    """
    prefixes = _OFFICIAL if layout is Layout.OFFICIAL else _spelling(list(keys))
    rules: list[Rule] = []
    for modality, tower in config.towers.items():
        rules += vision_rules(
            tower, theirs=prefixes.tower.format(modality), ours=f"vision_encoder.{modality}."
        )
    rules += _connector_rules(prefixes.first_layer, prefixes.second_layer, ours="connector.")
    rules += decoder_rules(
        config.language, theirs=prefixes.decoder, ours="language_model.", head=prefixes.head
    )
    rotary = f"{prefixes.decoder}layers.*.self_attn.rotary_emb.inv_freq"
    rules.append(Ignore(rotary, "it follows from the head size"))
    return KeyMap(layout, tuple(rules))


def connector_keymap(keys: Iterable[str]) -> KeyMap:
    """The rules between a connector alone and ``mm_projector.bin``, under any prefix."""
    prefix = next((key.removesuffix("0.weight") for key in keys if key.endswith("0.weight")), "")
    return KeyMap("projector", tuple(_connector_rules(f"{prefix}0.", f"{prefix}2.", ours="")))


def _connector_rules(first_layer: str, second_layer: str, *, ours: str) -> list[Rule]:
    return [Rename(f"{first_layer}*", f"{ours}fc1.*"), Rename(f"{second_layer}*", f"{ours}fc2.*")]


def _spelling(keys: list[str]) -> _Prefixes:
    """How a file spells each part; the hub's spelling where it does not have it."""
    spelled = {
        part: _first_used((getattr(_TRANSFORMERS, part), *others), keys)
        for part, others in _OTHER_SPELLINGS.items()
    }
    return _Prefixes(**spelled)


def _first_used(prefixes: tuple[str, ...], keys: list[str]) -> str:
    used = (prefix for prefix in prefixes if any(key.startswith(prefix.format("image")) for key in keys))
    return next(used, prefixes[0])


def check_layout(layout: Layout, keys: Iterable[str]) -> None:
    """Refuse weights that are of another layout than their ``config.json``, before listing every key.

    Raises:
        WeightsError: saying which of the two they are.
    """
    is_official = any("mm_projector." in key for key in keys)
    if is_official != (layout is Layout.OFFICIAL):
        found = Layout.OFFICIAL if is_official else Layout.TRANSFORMERS
        raise WeightsError(
            f"config.json is of the {layout} layout, but the weights are of the {found} one; "
            "take both from one folder."
        )
