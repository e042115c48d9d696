import re

import numpy as np

from kinema.datasets.toybox_films import ToyboxFilms, film_captions
from kinema.processors.messages import AudioPart, VideoPart
from kinema.toybox import make_scene
from kinema.toybox.speaking import remark
from kinema.toybox.vocabulary import place_at


def sample(**settings):
    return ToyboxFilms(**settings).sample(0, np.random.default_rng(0))


def media(talk):
    return [part for message in talk.messages for part in message.parts if not hasattr(part, "text")]


def test_a_film_comes_with_its_sound_and_captions_of_what_is_seen_heard_and_both():
    talk = sample(num_frames=4, side=56)
    clip, sound = media(talk)
    assert isinstance(clip, VideoPart)
    assert isinstance(sound, AudioPart)
    assert clip.source.data.shape == (4, 56, 56, 3)
    assert len(sound.source.data) == 16_000 * clip.source.duration_s
    names = [message.text for message in talk.messages if message.role == "user"]
    seen, heard, both = (message.text for message in talk.messages if message.role == "assistant")
    assert names == ["video", "audio", "avs"]
    assert both == f"{seen} {heard}"
    assert heard.endswith("is heard.")
    assert "heard" not in seen


def test_without_sound_it_is_the_same_clip():
    with_sound, silent = sample(), sample(has_sound=False)
    assert [message.text for message in silent.messages] == ["video", with_sound.messages[1].text]
    (clip,) = media(silent)
    np.testing.assert_array_equal(clip.source.data, media(with_sound)[0].source.data)


def test_captions_of_a_scene_are_those_of_its_film():
    films = ToyboxFilms()
    scene = films.scene(np.random.default_rng(3))
    talk = films.film(scene, np.random.default_rng(4))
    texts = [message.text for message in talk.messages if message.role == "assistant"]
    assert texts == list(film_captions(scene).values())


def test_what_is_said_follows_what_is_seen_and_changes_no_clip():
    plain, told = (sample(has_sound=False, has_speech=has_speech) for has_speech in (False, True))
    seen, said = plain.messages[1].text, told.messages[1].text
    assert re.fullmatch(re.escape(seen) + r" The \w+ \w+ is at the [a-z ]+\.", said)
    np.testing.assert_array_equal(media(plain)[0].source.data, media(told)[0].source.data)


def test_half_of_what_is_said_is_about_the_film():
    rng = np.random.default_rng(0)
    scenes = [make_scene(seed) for seed in range(200)]
    remarks = [remark(scene, rng) for scene in scenes]
    about = [
        any(
            text == f"The {toy.colour} {toy.shape} is at the {place_at(*toy.position(toy.appear_s))}."
            for toy in scene.toys
        )
        for scene, text in zip(scenes, remarks, strict=True)
    ]
    assert 0.4 < np.mean(about) < 0.6
