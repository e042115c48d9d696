import numpy as np

from kinema.datasets.toybox_pairs import ToyboxClipPairs, ToyboxStillPairs
from kinema.toybox import make_scene, short_caption


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_a_still_is_one_picture_with_words_of_its_own_or_of_its_clip():
    texts = []
    for seed in range(20):
        shown, said = ToyboxStillPairs(side=56).sample(0, np.random.default_rng(seed)).messages
        (part,) = shown.parts
        assert part.source.shape == (56, 56, 3)
        texts.append(said.text)
    places = sum(" is at the " in text or text == "There is no object." for text in texts)
    assert 4 < places < 16


def test_a_clip_is_frames_from_its_first_to_its_last_with_its_caption():
    shown, said = ToyboxClipPairs(num_frames=8, side=56).sample(0, rng()).messages
    (part,) = shown.parts
    scene = make_scene(int(rng().integers(2**62)), height=56, width=56)
    assert said.text == short_caption(scene)
    assert part.source.data.shape == (8, 56, 56, 3)
    num_frames = round(24 * scene.duration_s)
    expected = [int(index * (num_frames - 1) / 7) / 24 for index in range(8)]
    assert part.source.pts_s.tolist() == expected
