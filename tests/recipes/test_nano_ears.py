import numpy as np
import torch

from kinema.datasets.toybox_sounds import ToyboxSounds
from kinema.processors.beats_features import BEATsFeaturesConfig
from kinema.recipes.nano_ears import (
    SILENCE,
    SoundNaming,
    draw_scenes,
    heard_at,
    token_times_s,
    train_nano_ears,
)
from kinema.recipes.nano_fit import Fit
from kinema.recipes.nano_internvideo2_sizes import nano_beats
from kinema.toybox import make_scene
from kinema.toybox.sounding import dub
from kinema.toybox.vocabulary import SOUNDS
from kinema.training.init import init_weights

SOUND = BEATsFeaturesConfig(num_mel_bins=32, num_samples=8 * 16_000)


def test_ears_are_told_what_sounds_at_each_moment():
    scene = dub(make_scene(0), np.random.default_rng(0), num_sounds=1)
    (sound,) = scene.sounds
    heard = heard_at(scene, [sound.start_s - 0.1, sound.start_s + 0.1, sound.end_s + 0.1])
    assert heard == [SILENCE, SOUNDS.index(sound.name), SILENCE]


def test_ears_are_asked_for_the_second_where_they_are_to_tell_it():
    asked = [set(SoundNaming(nano_beats(), SOUND, tells_seconds=tells).heads) for tells in (False, True)]
    assert asked == [{"what"}, {"what", "when"}]


def test_few_steps_teach_ears_to_name_sounds_of_films_they_have_not_heard():
    torch.manual_seed(0)
    naming = SoundNaming(nano_beats(), SOUND, tells_seconds=True)
    init_weights(naming, 0)
    held_out = draw_scenes(ToyboxSounds(split="validation"), 8, np.random.default_rng(0))
    times_s = token_times_s(SOUND.num_frames // 16, patch_size=16)
    silent = np.mean([np.equal(heard_at(scene, times_s), SILENCE) for scene in held_out])
    fast = Fit(name="ears", num_steps=12, learning_rate=6e-3)
    train_nano_ears(naming, ToyboxSounds(), fast, batch_size=8, seed=0)
    assert naming.share_named(held_out) > silent + 0.05
