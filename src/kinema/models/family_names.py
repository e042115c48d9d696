"""What people call the family of a ``config.json``, for errors about a checkpoint of another one."""

from collections.abc import Mapping
from typing import Any

from kinema.models.registry import FAMILIES


def family_title(content: Mapping[str, Any]) -> str | None:
    """Such as ``LanguageBind``; None where no family knows the ``model_type``."""
    model_type = str(content.get("model_type"))
    known = (family for family in FAMILIES if model_type in (*family.model_types, *family.part_types))
    return next((family.title for family in known), None)


def named_type(content: Mapping[str, Any]) -> str:
    """The ``model_type`` as errors say it: ``'LanguageBindVideo' of LanguageBind``, or ``'bert'`` alone."""
    title = family_title(content)
    model_type = repr(content.get("model_type"))
    return model_type if title is None else f"{model_type} of {title}"
