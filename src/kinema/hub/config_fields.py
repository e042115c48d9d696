"""Fields of other people's ``config.json``: none may be missing, or ask for what is not there."""

from collections.abc import Mapping
from typing import Any

from kinema.errors import WeightsError


def required_field(content: Mapping[str, Any], name: str) -> Any:
    """A field that has a value.

    Raises:
        WeightsError: if it is absent or null.
    """
    if content.get(name) is None:
        raise WeightsError(f"config.json has no {name}; is it the file of this model?")
    return content[name]


def expect_field(content: Mapping[str, Any], name: str, value: object) -> None:
    """Check a field whose value our code takes for granted; an absent one has it.

    Raises:
        WeightsError: if it has another.
    """
    if content.get(name, value) != value:
        raise WeightsError(
            f"config.json asks for {name} {content[name]!r}; this architecture has {value!r} only."
        )
