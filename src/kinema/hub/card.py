"""Model cards: a README.md whose first lines are YAML for machines and whose rest is for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kinema.errors import WeightsError

_FENCE = "---\n"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What stands beside a checkpoint: where it comes from, what it was trained on, how well it does."""

    title: str
    sections: Mapping[str, str] = field(default_factory=dict)
    """Heading -> Markdown text, in order. The heading ``""`` is the text under the title."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Fields the hub reads, such as ``license`` and ``base_model``."""

    def to_markdown(self) -> str:
        """The text of README.md."""
        parts = [f"# {self.title}"]
        for heading, text in self.sections.items():
            parts.append(f"## {heading}\n\n{text.strip()}" if heading else text.strip())
        body = "\n\n".join(parts) + "\n"
        if not self.metadata:
            return body
        front = yaml.safe_dump(dict(self.metadata), sort_keys=False, allow_unicode=True)
        return f"{_FENCE}{front}{_FENCE}\n{body}"

    @classmethod
    def from_markdown(cls, text: str) -> "ModelCard":
        """Read what ``to_markdown`` wrote, or a card of the hub.

        Raises:
            WeightsError: if the first lines open YAML that does not end, or is not a mapping.
        """
        metadata, body = _split_front_matter(text)
        title, heading, fenced = "", "", False
        sections: dict[str, str] = {}
        lines: list[str] = []
        for line in body.strip().splitlines():
            fenced ^= line.startswith("```")
            if not fenced and not title and line.startswith("# "):
                title = line.removeprefix("# ").strip()
            elif not fenced and line.startswith("## "):
                sections[heading] = "\n".join(lines).strip()
                heading, lines = line.removeprefix("## ").strip(), []
            else:
                lines.append(line)
        sections[heading] = "\n".join(lines).strip()
        if not sections.get("", "kept"):
            del sections[""]
        return cls(title=title, sections=sections, metadata=metadata)

    def save(self, folder: Path) -> None:
        """Write README.md into a checkpoint folder."""
        (folder / "README.md").write_text(self.to_markdown(), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "ModelCard":
        """Read README.md of a checkpoint folder.

        Raises:
            WeightsError: if there is none.
        """
        path = folder / "README.md"
        if not path.is_file():
            raise WeightsError(f"{folder}: no README.md, so no model card.")
        return cls.from_markdown(path.read_text(encoding="utf-8"))


def _split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    if not text.startswith(_FENCE):
        return {}, text
    front, fence, body = text.removeprefix(_FENCE).partition(f"\n{_FENCE}")
    if not fence:
        raise WeightsError("the model card opens front matter with '---' and never closes it.")
    try:
        metadata = yaml.safe_load(front)
    except yaml.YAMLError as error:
        raise WeightsError(f"the front matter of the model card is not YAML: {error}") from error
    if not isinstance(metadata, dict):
        raise WeightsError("the front matter of the model card is not a mapping.")
    return metadata, body
