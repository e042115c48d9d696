import numpy as np

from kinema.datasets.toybox_sounds import HEARD_PROMPT, ToyboxSounds
from kinema.processors.messages import AudioPart
from kinema.toybox.sounding import heard_caption


def test_sound_and_words_tell_the_same_of_the_same_film():
    heard, told = (ToyboxSounds(is_told=told).sample(0, np.random.default_rng(4)) for told in (False, True))
    assert isinstance(heard.messages[0].parts[0], AudioPart)
    assert heard.messages[0].parts[1:] == told.messages[0].parts[1:]
    assert heard.messages[1:] == told.messages[1:]
    scene = ToyboxSounds().scene(np.random.default_rng(4))
    np.testing.assert_array_equal(heard.messages[0].parts[0].source.data, scene.sound().data)
    assert told.messages[0].text.startswith(" ".join(sound.name for sound in scene.sounds) + "\n")
    turns = [message.text for message in heard.messages]
    assert turns[turns.index(HEARD_PROMPT) + 1] == heard_caption(scene)


def test_some_films_are_silent_and_none_has_more_sounds_than_asked_for():
    rng = np.random.default_rng(0)
    counts = {len(ToyboxSounds(most_sounds=2).scene(rng).sounds) for _ in range(30)}
    assert counts == {0, 1, 2}


def test_it_is_asked_for_a_sound_that_is_heard_and_one_that_is_not():
    talks = [ToyboxSounds().sample(0, np.random.default_rng(seed)) for seed in range(8)]
    said = [[message.text for message in talk.messages[1::2]] for talk in talks]
    answers = {tuple(sorted(text for text in texts if text in ("yes", "no"))) for texts in said}
    assert answers == {(), ("no", "yes")}
    assert len({talk.messages[0].text == HEARD_PROMPT for talk in talks}) == 2  # it comes at any place
