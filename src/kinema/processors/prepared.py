"""One conversation as a processor leaves it."""

from dataclasses import dataclass

from kinema.processors.collate import Sample
from kinema.processors.visuals import EncodedVisuals, VisualItem


@dataclass(frozen=True, kw_only=True)
class PreparedConversation:
    """One conversation, ready to be put into a batch, and what is worth reporting about it."""

    sample: Sample
    text: str
    """The whole prompt with every placeholder."""
    visuals: EncodedVisuals | None
    """None for text alone."""

    @property
    def items(self) -> tuple[VisualItem, ...]:
        """Images and videos in the order of their placeholders."""
        return self.visuals.items if self.visuals else ()
