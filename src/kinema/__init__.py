"""kinema: one framework for video-language models.

Importing this package loads neither torch nor an optional package; what is used is imported when it is used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kinema.inference.load import load as load
    from kinema.media.video import open_video as open_video
    from kinema.processors.messages import Conversation as Conversation
    from kinema.processors.messages import Message as Message

_HOMES = {
    "load": "kinema.inference.load",
    "open_video": "kinema.media.video",
    "Conversation": "kinema.processors.messages",
    "Message": "kinema.processors.messages",
}

__all__ = ["Conversation", "Message", "__version__", "load", "open_video"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kinema' has no attribute {name!r}; it has: {', '.join(__all__)}.")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
