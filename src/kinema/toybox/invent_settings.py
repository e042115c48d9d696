"""Invent what is around the toys of a shot: background, camera, words, sounds."""

from collections.abc import Sequence

import numpy as np

from kinema.toybox.vocabulary import BACKGROUNDS, LABEL_CENTRES, PATTERNS, SOUNDS, WORDS
from kinema.toybox.world import Background, Camera, Shot, Sound, Toy, Word

SOUND_S = 1.0
"""How long a sound lasts."""
_LABEL_HALF_HEIGHT = 0.1
_PAN = (0.4, 0.8)
_WORD_TRIES = 8


def plain_background(rng: np.random.Generator) -> Background:
    """One of the plain tones, a little lighter or darker."""
    tone = str(rng.choice(list(BACKGROUNDS)))
    shade = int(rng.integers(-16, 17))
    red, green, blue = (min(level + shade, 255) for level in BACKGROUNDS[tone])
    return Background(tone=tone, rgb=(red, green, blue))


def patterned_background(rng: np.random.Generator) -> Background:
    """Any pattern in two shades of one tone."""
    plain = plain_background(rng)
    pattern = str(rng.choice(PATTERNS))
    if pattern == "plain":
        return plain
    step = int(rng.integers(20, 36)) * (-1 if plain.tone == "white" else 1)
    red, green, blue = (level + step for level in plain.rgb)
    return Background(
        tone=plain.tone,
        rgb=plain.rgb,
        pattern=pattern,
        other_rgb=(red, green, blue),
        seed=int(rng.integers(1 << 31)),
    )


def invent_camera(rng: np.random.Generator, background: Background) -> Camera:
    """A pan, in half of the shots whose background shows it."""
    if background.pattern != "clouds" or rng.random() < 0.5:
        return Camera()
    motion = str(rng.choice(["left", "right", "up", "down"]))
    return Camera(motion=motion, distance=round(float(rng.uniform(*_PAN)), 3))


def invent_word(
    rng: np.random.Generator, toys: Sequence[Toy], start_s: float, end_s: float, words: Sequence[str] = WORDS
) -> Word | None:
    """A word shown for two seconds or more where no toy is behind it; None if no such place is found."""
    for _ in range(_WORD_TRIES):
        length_s = int(rng.integers(2, max(3, int(end_s - start_s) - 1)))
        first_s = np.floor(start_s) + 0.5 + int(rng.integers(max(1, int(end_s - start_s) - length_s)))
        word = Word(
            text=str(rng.choice(words)),
            place=str(rng.choice(list(LABEL_CENTRES))),
            start_s=float(first_s),
            end_s=float(first_s + length_s),
        )
        if word.end_s < end_s and not any(_is_behind(toy, word) for toy in toys):
            return word
    return None


def invent_sounds(rng: np.random.Generator, shots: Sequence[Shot], share: float) -> tuple[Sound, ...]:
    """Sounds for a share of what the toys do, no two of them at one time."""
    sounds: list[Sound] = []
    index = -1
    for shot in shots:
        for toy in shot.toys:
            index += 1
            for event, at_s in shot.events(toy):
                is_free = all(abs(at_s - sound.start_s) >= SOUND_S for sound in sounds)
                if rng.random() < share and is_free:
                    name = str(rng.choice(SOUNDS))
                    end_s = min(at_s + SOUND_S, shots[-1].end_s)
                    sounds.append(Sound(name=name, start_s=at_s, end_s=end_s, toy=index, event=event))
    return tuple(sorted(sounds, key=lambda sound: sound.start_s))


def _is_behind(toy: Toy, word: Word) -> bool:
    """Whether a toy comes under the label of a word."""
    start_s, end_s = max(toy.appear_s, word.start_s), min(toy.disappear_s, word.end_s)
    if start_s >= end_s:
        return False
    y = toy.positions(np.linspace(start_s, end_s, 16).tolist())[:, 1]
    apart = np.abs(y - LABEL_CENTRES[word.place])
    return bool((apart < _LABEL_HALF_HEIGHT + toy.diameter / 2).any())
