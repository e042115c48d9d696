"""What a scene shows, in sentences: short, in detail with times, or at one moment."""

from kinema.toybox.scene import Scene
from kinema.toybox.stills import freeze
from kinema.toybox.vocabulary import EVENTS, MOTIONS, place_at, time_words, with_article
from kinema.toybox.world import Background, Shot, Sound, Toy, Word

SHORT_PROMPT = "Describe the video briefly."
DETAILED_PROMPT = "Describe the video in detail."
IMAGE_PROMPT = "Describe the image."
"""What captions are the answers to."""


def short_caption(scene: Scene) -> str:
    """One sentence a toy, a word and a sound; of a video of many shots only what is seen once."""
    if scene.needles:
        rare = [
            f"There is one {toy.shape}: {_deeds(scene.shot_at(toy.appear_s), toy)}" for toy in scene.needles
        ]
        return " ".join([f"The video has {len(scene.shots)} shots.", *rare])
    return " ".join(
        sentence
        for number, shot in enumerate(scene.shots, start=1)
        for sentence in [
            *_shot_number(scene, number),
            *(_deeds(shot, toy) for toy in shot.toys),
            *(f"The word {word.text} is shown at {time_words(word.start_s)}." for word in shot.words),
            *(f"A {sound.name} is heard at {time_words(sound.start_s)}." for sound in _heard(scene, shot)),
        ]
    )


def detailed_caption(scene: Scene) -> str:
    """Shot by shot: its background and camera, then every toy, word and sound with its times and places."""
    return " ".join(
        sentence
        for number, shot in enumerate(scene.shots, start=1)
        for sentence in [
            *_shot_times(scene, number),
            f"The background is {_background(shot.background)}.",
            *([] if shot.camera.motion == "still" else [f"The camera {MOTIONS[shot.camera.motion]}."]),
            *(_life(toy) for toy in shot.toys),
            *(_reading(word) for word in shot.words),
            *(_hearing(scene, sound) for sound in _heard(scene, shot)),
        ]
    )


def caption_at(scene: Scene, time_s: float) -> str:
    """What the picture at one time shows, and where."""
    still = freeze(scene, time_s)
    toys = [f"{_new(toy)} is at the {place_at(*toy.position(0.0))}." for toy in still.toys]
    words = [f"The word {word.text} is at the {word.place}." for word in still.words]
    return " ".join([*(toys or ["There is no object."]), *words])


def _shot_number(scene: Scene, number: int) -> list[str]:
    return [f"Shot {number}:"] if len(scene.shots) > 1 else []


def _shot_times(scene: Scene, number: int) -> list[str]:
    """``Shot 2 is from 5.5 s to 9.0 s, after a dissolve.``, where there are several shots."""
    if len(scene.shots) == 1:
        return []
    shot = scene.shots[number - 1]
    dissolve = ", after a dissolve" if shot.dissolve_s > 0 else ""
    return [f"Shot {number} is {_from_to(shot.start_s, shot.end_s)}{dissolve}."]


def _background(background: Background) -> str:
    """``grey``, ``grey with stripes``."""
    if background.pattern == "plain":
        return background.tone
    pattern = "a gradient" if background.pattern == "gradient" else background.pattern
    return f"{background.tone} with {pattern}"


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
        f"{_new(toy)} is visible {_from_to(toy.appear_s, toy.disappear_s)}.",
        f"It {MOTIONS[toy.motion]} {where}.",
    ]
    if toy.recolour is not None:
        sentences.append(f"It turns {toy.recolour.colour} at {time_words(toy.recolour.at_s)}.")
    return " ".join(sentences)


def _reading(word: Word) -> str:
    return f"The word {word.text} is shown at the {word.place} {_from_to(word.start_s, word.end_s)}."


def _hearing(scene: Scene, sound: Sound) -> str:
    """``A bell is heard from 2.5 s to 3.5 s, when the red circle appears.``"""
    toy = scene.toys[sound.toy]
    cause = f"when the {toy.colour} {toy.shape} {EVENTS[sound.event]}"
    return f"A {sound.name} is heard {_from_to(sound.start_s, sound.end_s)}, {cause}."


def _heard(scene: Scene, shot: Shot) -> list[Sound]:
    """The sounds that begin within a shot."""
    return [sound for sound in scene.sounds if shot.start_s <= sound.start_s < shot.end_s]


def _from_to(start_s: float, end_s: float) -> str:
    return f"from {time_words(start_s)} to {time_words(end_s)}"


def _listed(parts: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
