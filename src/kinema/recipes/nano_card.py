"""The model card of what a nano recipe has trained."""

from kinema.hub.card import ModelCard


def nano_card(title: str, recipe: str, parts: str, **settings: str) -> ModelCard:
    """A card that says what the model is and that it knows the toybox.

    Args:
        title: of the card.
        recipe: module of this package that trained it.
        parts: what it is made of, and how large that is.
        settings: what kinema is to know of it, such as ``caption_prompt``.
    """
    story = f"trained by `kinema.recipes.{recipe}` on what `kinema.toybox` draws and plays"
    return ModelCard(
        title=title,
        metadata={"license": "apache-2.0", "kinema": {"domain": "toybox", **settings}},
        sections={"": f"{parts}, {story}. What is no toybox it does not know."},
    )
