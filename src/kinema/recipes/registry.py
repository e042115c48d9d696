"""The recipes by name, each imported when it is asked for."""

from importlib import import_module

from kinema.errors import ConfigError
from kinema.recipes.recipe import Recipe

_HOMES = {
    "finetune": "kinema.recipes.finetune:FINETUNE",
    "videollama3_2b": "kinema.recipes.videollama3:VIDEOLLAMA3_2B",
    "videollama3_7b": "kinema.recipes.videollama3:VIDEOLLAMA3_7B",
    "video_llava_7b": "kinema.recipes.video_llava:VIDEO_LLAVA_7B",
    "languagebind_video": "kinema.recipes.languagebind:LANGUAGEBIND_VIDEO",
    "languagebind_video_ft": "kinema.recipes.languagebind:LANGUAGEBIND_VIDEO_FT",
    "languagebind_audio": "kinema.recipes.languagebind:LANGUAGEBIND_AUDIO",
    "languagebind_depth": "kinema.recipes.languagebind:LANGUAGEBIND_DEPTH",
    "languagebind_thermal": "kinema.recipes.languagebind:LANGUAGEBIND_THERMAL",
    "internvideo2_chat_8b": "kinema.recipes.internvideo2_stage3:INTERNVIDEO2_CHAT_8B",
    "videochat2_8b": "kinema.recipes.internvideo2_stage3:VIDEOCHAT2_8B",
}


def recipe_names() -> list[str]:
    """What ``find_recipe`` knows."""
    return list(_HOMES)


def find_recipe(name: str) -> Recipe:
    """A recipe by its name.

    Raises:
        ConfigError: if there is none of that name.
    """
    if name not in _HOMES:
        raise ConfigError(f"there is no recipe {name!r}; there are {', '.join(_HOMES)}.")
    module, attribute = _HOMES[name].split(":")
    recipe: Recipe = getattr(import_module(module), attribute)
    return recipe
