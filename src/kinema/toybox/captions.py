"""What a scene shows, in sentences: short, in detail with times, or at one moment."""

from kinema.toybox.scene import Scene
from kinema.toybox.stills import freeze
from kinema.toybox.vocabulary import MOTIONS, place_at, time_words, with_article
from kinema.toybox.world import Shot, Toy


def short_caption(scene: Scene) -> str:
    """One sentence a toy: what it is, what it does, and when something happens to it."""
    return " ".join(_deeds(shot, toy) for shot in scene.shots for toy in shot.toys)


def detailed_caption(scene: Scene) -> str:
    """The background, then every toy with its times and places."""
    sentences = []
    for shot in scene.shots:
        sentences.append(f"The background is {shot.background.name}.")
        sentences += [_life(toy) for toy in shot.toys]
    return " ".join(sentences)


def caption_at(scene: Scene, time_s: float) -> str:
    """What the picture at one time shows, and where."""
    still = freeze(scene, time_s)
    if not still.toys:
        return "There is no object."
    return " ".join(f"{_new(toy)} is at the {place_at(*toy.position(0.0))}." for toy in still.toys)


def _new(toy: Toy) -> str:
    """A toy that has not been spoken of: ``A large red circle``."""
    return with_article(f"{toy.size} {toy.colour} {toy.shape}").capitalize()


def _deeds(shot: Shot, toy: Toy) -> str:
    """``A small blue star appears at 2.5 s and stays still.``"""
    deeds = []
    if toy.appear_s > shot.start_s:
        deeds.append(f"appears at {time_words(toy.appear_s)}")
    deeds.append(MOTIONS[toy.motion])
    if toy.recolour is not None:
        deeds.append(f"turns {toy.recolour.colour} at {time_words(toy.recolour.at_s)}")
    if toy.disappear_s < shot.end_s:
        deeds.append(f"disappears at {time_words(toy.disappear_s)}")
    return f"{_new(toy)} {_listed(deeds)}."


def _life(toy: Toy) -> str:
    """When a toy is seen, where it starts and ends, how it moves, what it becomes."""
    last_s = toy.path[-1][0]
    first, last = place_at(*toy.position(toy.appear_s)), place_at(*toy.position(last_s))
    where = f"at the {first}" if toy.motion == "still" else f"from the {first} to the {last}"
    sentences = [
        f"{_new(toy)} is visible from {time_words(toy.appear_s)} to {time_words(toy.disappear_s)}.",
        f"It {MOTIONS[toy.motion]} {where}.",
    ]
    if toy.recolour is not None:
        sentences.append(f"It turns {toy.recolour.colour} at {time_words(toy.recolour.at_s)}.")
    return " ".join(sentences)


def _listed(parts: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
