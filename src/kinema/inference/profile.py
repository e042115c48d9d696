"""How a checkpoint wants to be asked, and what it knows: the entry ``kinema`` of its model card.

    ---
    kinema:
      domain: toybox
      locate_prompt: When is {text} visible?
    ---

A checkpoint without a card, or a card without the entry, has the defaults.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from kinema.errors import MediaError, WeightsError
from kinema.hub.card import ModelCard
from kinema.media.frames import FrameBatch
from kinema.media.video import open_video
from kinema.processors.messages import Part, TextPart, VideoPart


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What the front door says on a checkpoint's behalf."""

    caption_prompt: str = "Describe the video in detail."
    locate_prompt: str = (
        "When does this happen: {text}? Please output the start and end timestamps in seconds."
    )
    """``{text}`` is what is looked for. The ending is that of VideoLLaMA3's evaluation on Charades-STA."""
    domain: str | None = None
    """The only kind of media it knows; None for all. Files of a domain say so in their container's comment,
    which begins with ``kinema`` and its name."""
    general_model: str = "DAMO-NLP-SG/VideoLLaMA3-2B"
    """What to take for other media."""

    @classmethod
    def load(cls, folder: Path) -> "Profile":
        """Read the model card of a checkpoint folder.

        Raises:
            WeightsError: if the card has an entry that is not known, or not text.
        """
        if not (folder / "README.md").is_file():
            return cls()
        entry = ModelCard.load(folder).metadata.get("kinema", {})
        known = {field.name for field in fields(cls)}
        if not isinstance(entry, dict) or not all(
            name in known and isinstance(value, str) for name, value in entry.items()
        ):
            raise WeightsError(
                f"{folder / 'README.md'}: the entry 'kinema' of the model card is {entry!r}; it may have "
                f"texts for {', '.join(sorted(known))}."
            )
        return cls(**entry)


class DomainGuard:
    """Says once if a model that knows one kind of media is asked about another."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._has_warned = profile.domain is None

    def check(self, parts: Iterable[Part]) -> None:
        """Warn if some media are not, or cannot be known to be, of the domain."""
        if self._has_warned:
            return
        strange = next((part for part in parts if not self._is_known(part)), None)
        if strange is None:
            return
        self._has_warned = True
        profile = self._profile
        warnings.warn(
            f"this model knows only the {profile.domain}; what it says about anything else is a guess. For "
            f"other media use kinema.load({profile.general_model!r}).",
            stacklevel=4,
        )

    def _is_known(self, part: Part) -> bool:
        if isinstance(part, TextPart):
            return True
        if not isinstance(part, VideoPart) or isinstance(part.source, FrameBatch):
            return False
        try:
            with open_video(part.source) as video:
                return (video.info.comment or "").startswith(f"kinema {self._profile.domain}")
        except MediaError:  # no picture, for a model that hears; what reads it says so, if it matters
            return False
