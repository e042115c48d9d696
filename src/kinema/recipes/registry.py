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
    "internvideo2_stage1_1b": "kinema.recipes.internvideo2_students:INTERNVIDEO2_STAGE1_1B",
    "internvideo2_stage1_6b": "kinema.recipes.internvideo2_students:INTERNVIDEO2_STAGE1_6B",
    "internvideo2_distil_s14": "kinema.recipes.internvideo2_students:INTERNVIDEO2_DISTIL_S14",
    "internvideo2_distil_b14": "kinema.recipes.internvideo2_students:INTERNVIDEO2_DISTIL_B14",
    "internvideo2_distil_l14": "kinema.recipes.internvideo2_students:INTERNVIDEO2_DISTIL_L14",
    "internvideo2_stage2_1b": "kinema.recipes.internvideo2_alignment:INTERNVIDEO2_STAGE2_1B",
    "internvideo2_stage2_6b": "kinema.recipes.internvideo2_alignment:INTERNVIDEO2_STAGE2_6B",
    "internvideo2_stage2_6b_paper": "kinema.recipes.internvideo2_alignment:INTERNVIDEO2_STAGE2_6B_PAPER",
    "internvideo2_chat_8b": "kinema.recipes.internvideo2_stage3:INTERNVIDEO2_CHAT_8B",
    "videochat2_8b": "kinema.recipes.internvideo2_stage3:VIDEOCHAT2_8B",
}


TWINS = {
    "nano": "VideoLLaMA3, and the model that ships with kinema",
    "nano_video_llava": "Video-LLaVA, its towers included",
    "nano_languagebind": "LanguageBind, images and videos",
    "nano_internvideo2": "InternVideo2, stages 1 and 2, their teachers included",
    "nano_internvideo2_chat": "InternVideo2-Chat, eyes of stage 2 included",
    "nano_audio_captioner": "the audio captioner of InternVideo2's data engine",
    "nano_finetune": "a model that learns a new shape",
}
"""Recipes from nothing at the size of the toybox, without a download: modules of this package, to be run by
``python -m``, and what each trains."""


def twin_command(name: str) -> str:
    """How a recipe of ``TWINS`` is run."""
    return f"python -m kinema.recipes.{name} runs/{name}"


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
