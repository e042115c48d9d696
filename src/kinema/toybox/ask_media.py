"""Questions about what is around the toys: words, sounds, the camera, shots and cuts; and about a needle."""

import numpy as np

from kinema.toybox.names import full_name
from kinema.toybox.question import Question, ask
from kinema.toybox.scene import Scene
from kinema.toybox.vocabulary import EVENTS, SOUNDS, span_words, time_words

_TEXT = ("Which word is shown?", "What does the label say?")
_TEXT_AT = ("Which word is shown at {time}?", "What does the label say at {time}?")
_SOUND = ("Which sound is heard when the {name} {does}?", "What is heard when the {name} {does}?")
_HEARD = ("Is a {sound} heard?", "Do you hear a {sound}?")
_CAMERA = ("How does the camera move?", "What is the motion of the camera?")
_CAMERA_AT = ("How does the camera move at {time}?", "What is the motion of the camera at {time}?")
_SHOTS = ("How many shots are there?", "What is the number of shots?")
_CUT = ("When does shot {number} begin?", "At what time does shot {number} begin?")
_NEEDLE_COLOUR = ("There is one {shape} in the video. What colour is it?",)
_NEEDLE_MOTION = ("There is one {shape} in the video. How does it move?",)
_NEEDLE_WHEN = ("There is one {shape} in the video. When is it visible?",)


def ask_text(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """The word on the screen; at a time where there are several."""
    if len(scene.words) == 1:
        return [ask(rng, "text", _TEXT, scene.words[0].text)]
    asked = []
    for word in scene.words:
        time_s = float(rng.integers(np.ceil(word.start_s), np.ceil(word.end_s)))
        asked.append(ask(rng, "text", _TEXT_AT, word.text, time=time_words(time_s)))
    return asked


def ask_sound(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """What is heard when a toy does something; whether a sound is heard, one that is and one that is not."""
    if not scene.sounds:
        return []
    asked = []
    for sound in scene.sounds:
        name = full_name(scene.toys[sound.toy], scene.toys)
        if name is not None:
            asked.append(ask(rng, "sound", _SOUND, sound.name, name=name, does=EVENTS[sound.event]))
    return [*asked, *ask_whether_heard(scene, rng)]


def ask_whether_heard(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Of a scene with sounds, whether one that is heard is heard, and one that is not."""
    heard = {sound.name for sound in scene.sounds}
    unheard = [name for name in SOUNDS if name not in heard]
    if not heard or not unheard:
        return []
    return [
        ask(rng, "sound", _HEARD, "yes", sound=str(rng.choice(sorted(heard)))),
        ask(rng, "sound", _HEARD, "no", sound=str(rng.choice(unheard))),
    ]


def ask_camera(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """How the camera moves, where the background shows it; at a time where there are several shots."""
    asked = []
    for shot in scene.shots:
        if shot.background.pattern != "clouds":
            continue
        if len(scene.shots) == 1:
            asked.append(ask(rng, "camera", _CAMERA, shot.camera.motion))
        else:
            time_s = float(rng.integers(np.ceil(shot.start_s), np.ceil(shot.end_s)))
            asked.append(ask(rng, "camera", _CAMERA_AT, shot.camera.motion, time=time_words(time_s)))
    return asked


def ask_shots(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """How many shots there are, above level 1, where there is always one."""
    return [ask(rng, "shots", _SHOTS, str(len(scene.shots)))] if scene.level > 1 else []


def ask_cut(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """When a shot begins, for some of the shots."""
    numbers = rng.permutation(len(scene.cuts))[:4].tolist() if scene.cuts else []
    return [
        ask(rng, "cut", _CUT, time_words(scene.cuts[number].at_s), number=str(number + 2))
        for number in numbers
    ]


def ask_needle(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """What, how and when the one toy of its shape is, in a video of many shots."""
    asked = []
    for toy in scene.needles:
        span = (toy.appear_s, toy.disappear_s)
        asked.append(ask(rng, "needle", _NEEDLE_WHEN, span_words(*span), span=span, shape=toy.shape))
        asked.append(ask(rng, "needle", _NEEDLE_MOTION, toy.motion, shape=toy.shape))
        if toy.recolour is None:
            asked.append(ask(rng, "needle", _NEEDLE_COLOUR, toy.colour, shape=toy.shape))
    return asked
