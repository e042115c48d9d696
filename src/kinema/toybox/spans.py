"""What can be located in a scene: who or what, in which state, from when to when."""

from dataclasses import dataclass

from kinema.toybox.names import name_without_colour, named_toys
from kinema.toybox.scene import Scene


@dataclass(frozen=True, kw_only=True)
class NamedSpan:
    """A stretch of time and what is true in it alone."""

    subject: str
    """``red circle``, ``word STOP``, ``bell``."""
    state: str
    """``visible``, ``shown``, ``heard``, or a colour."""
    start_s: float
    end_s: float

    @property
    def text(self) -> str:
        """As a sentence: ``the red circle is visible``."""
        return f"the {self.subject} is {self.state}"


def spans(scene: Scene) -> list[NamedSpan]:
    """Everything in a scene that can be located by a name that fits nothing else."""
    coloured = [span for pair in coloured_spans(scene) for span in pair]
    return [*visible_spans(scene), *coloured, *shown_spans(scene), *heard_spans(scene)]


def visible_spans(scene: Scene) -> list[NamedSpan]:
    """When each toy is seen."""
    return [
        NamedSpan(subject=name, state="visible", start_s=toy.appear_s, end_s=toy.disappear_s)
        for toy, name in named_toys(scene.toys)
    ]


def coloured_spans(scene: Scene) -> list[tuple[NamedSpan, NamedSpan]]:
    """When each toy that changes its colour has the first, and when the second."""
    pairs = []
    for toy in scene.toys:
        name = name_without_colour(toy, scene.toys)
        if toy.recolour is not None and name is not None:
            changes_s = toy.recolour.at_s
            before = NamedSpan(subject=name, state=toy.colour, start_s=toy.appear_s, end_s=changes_s)
            after = NamedSpan(
                subject=name, state=toy.recolour.colour, start_s=changes_s, end_s=toy.disappear_s
            )
            pairs.append((before, after))
    return pairs


def shown_spans(scene: Scene) -> list[NamedSpan]:
    """When each word that occurs once is on the screen."""
    texts = [word.text for word in scene.words]
    return [
        NamedSpan(subject=f"word {word.text}", state="shown", start_s=word.start_s, end_s=word.end_s)
        for word in scene.words
        if texts.count(word.text) == 1
    ]


def heard_spans(scene: Scene) -> list[NamedSpan]:
    """When each sound that occurs once is heard."""
    names = [sound.name for sound in scene.sounds]
    return [
        NamedSpan(subject=sound.name, state="heard", start_s=sound.start_s, end_s=sound.end_s)
        for sound in scene.sounds
        if names.count(sound.name) == 1
    ]
