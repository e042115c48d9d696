"""Levels 2 and 3: shots, backgrounds, pans, words, sounds, needles."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kinema.toybox import caption_at, detailed_caption, from_facts, make_scene, questions, short_caption
from kinema.toybox.lettering import draw_label
from kinema.toybox.vocabulary import COLOURS, LABEL_CENTRES, PATTERNS, WORDS
from kinema.toybox.world import Background, Camera, Shot, Toy, Word

LEVEL_2 = [make_scene(seed, level=2) for seed in range(60)]
LEVEL_3 = [make_scene(seed, level=3) for seed in range(6)]


def test_facts_of_films_survive_json():
    for scene in [*LEVEL_2, *LEVEL_3]:
        assert from_facts(json.loads(json.dumps(scene.facts()))) == scene


def test_level_2_uses_all_of_its_means():
    shots = [shot for scene in LEVEL_2 for shot in scene.shots]
    assert all(8 <= scene.duration_s <= 30 for scene in LEVEL_2)
    assert {len(scene.shots) for scene in LEVEL_2} == {1, 2, 3, 4}
    assert {shot.background.pattern for shot in shots} == set(PATTERNS)
    assert max(len(shot.toys) for shot in shots) == 4
    assert {cut.dissolve_s > 0 for scene in LEVEL_2 for cut in scene.cuts} == {True, False}
    assert any(shot.words for shot in shots)
    assert any(shot.camera.motion != "still" for shot in shots)
    assert any(scene.sounds for scene in LEVEL_2)


def test_shots_follow_each_other_without_gaps_and_cuts_lie_between_whole_seconds():
    for scene in [*LEVEL_2, *LEVEL_3]:
        edges = [0.0, *(cut.at_s for cut in scene.cuts), scene.duration_s]
        assert [(shot.start_s, shot.end_s) for shot in scene.shots] == list(pairwise(edges))
        assert all(cut.at_s % 1 == 0.5 for cut in scene.cuts)


def test_every_toy_of_level_2_can_be_named():
    for scene in LEVEL_2:
        pairs = [pair for toy in scene.toys for pair in toy.pairs]
        assert len(pairs) == len(set(pairs))


def test_level_3_hides_one_needle_in_minutes_of_video():
    for scene in LEVEL_3:
        assert 60 <= scene.duration_s <= 240
        (needle,) = scene.needles
        asked = [q for q in questions(scene, np.random.default_rng(0)) if q.kind == "needle"]
        (when,) = [q for q in asked if q.span]
        assert when.span == (needle.appear_s, needle.disappear_s)
        assert f"one {needle.shape}" in when.text
        assert needle.shape in short_caption(scene)


def still_shot(start_s: float, end_s: float, grey: int, **changes) -> Shot:
    background = Background(tone="grey", rgb=(grey, grey, grey))
    return Shot(**{"start_s": start_s, "end_s": end_s, "background": background, "toys": (), **changes})


def film_of(*shots: Shot):
    return replace(LEVEL_2[0], shots=shots, sounds=(), duration_s=shots[-1].end_s)


def test_a_hard_cut_changes_the_picture_at_once():
    film = film_of(still_shot(0.0, 2.5, 40), still_shot(2.5, 5.0, 200))
    assert film.render([2.49, 2.5])[:, 56, 56, 0].tolist() == [40, 200]


def test_a_dissolve_mixes_both_shots_around_the_cut():
    film = film_of(still_shot(0.0, 2.5, 40), still_shot(2.5, 5.0, 200, dissolve_s=0.5))
    assert film.render([2.0, 2.25, 2.375, 2.5, 2.625, 2.75])[:, 56, 56, 0].tolist() == [
        40,
        40,
        80,
        120,
        160,
        200,
    ]


def test_a_toy_stays_in_the_picture_while_its_shot_dissolves():
    toy = Toy(
        shape="square",
        colour="red",
        size="large",
        motion="still",
        path=((0.0, 0.5, 0.5),),
        appear_s=0.0,
        disappear_s=2.5,
    )
    film = film_of(still_shot(0.0, 2.5, 100, toys=(toy,)), still_shot(2.5, 5.0, 100, dissolve_s=0.5))
    halfway = film.render([2.5])[0, 56, 56]
    np.testing.assert_allclose(halfway, (np.array(COLOURS["red"]) + 100) / 2, atol=1)


@pytest.mark.parametrize(
    ("motion", "axis", "sign"), [("left", 1, 1), ("right", 1, -1), ("up", 0, 1), ("down", 0, -1)]
)
def test_a_pan_moves_the_background_against_the_camera(motion, axis, sign):
    background = Background(
        tone="grey", rgb=(100, 100, 100), pattern="clouds", other_rgb=(140, 140, 140), seed=1
    )
    shot = still_shot(0.0, 8.0, 0, background=background, camera=Camera(motion=motion, distance=0.5))
    before, after = film_of(shot).render([3.0, 4.0])  # 56 pixels in 8 s, so 7 in one
    shifted = np.roll(before, sign * 7, axis=axis)
    inside = (slice(10, -10), slice(10, -10))
    np.testing.assert_array_equal(shifted[inside], after[inside])


def test_a_word_is_on_the_screen_in_its_time_only():
    word = Word(text="STOP", place="bottom", start_s=1.5, end_s=3.5)
    film = film_of(still_shot(0.0, 5.0, 100, words=(word,)))
    has_ink = (film.render([1.0, 2.0, 3.5])[:, 90:110] == 0).any(axis=(1, 2, 3))
    assert has_ink.tolist() == [False, True, False]
    assert film.render([2.0])[0, :80].max() == 100


@pytest.mark.parametrize("side", [48, 112, 360])
def test_every_word_fits_and_no_two_labels_are_alike(side):
    labels = [draw_label(text, side) for text in WORDS]
    assert all(label.shape[1] <= side and label.shape[0] < 0.25 * side for label in labels)
    assert all(label.min() < 128 and label[:, [0, -1]].min() > 200 for label in labels)
    assert len({label.tobytes() for label in labels}) == len(WORDS)


def test_no_toy_is_behind_a_word():
    for scene in LEVEL_2:
        for shot in scene.shots:
            for word in shot.words:
                times_s = np.arange(word.start_s, word.end_s, 0.1)
                for toy in shot.toys:
                    seen_s = [float(t) for t in times_s if toy.is_visible(t)]
                    apart = np.abs(toy.positions(seen_s)[:, 1] - LABEL_CENTRES[word.place])
                    assert (apart > toy.diameter / 2 + 0.08).all()


def test_grain_is_small_and_new_in_every_frame_but_always_the_same_at_one_time():
    film = film_of(still_shot(0.0, 5.0, 100, grain=4))
    one, other, again = film.render([1.0, 2.0, 1.0]).astype(int)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.abs(one[10:-10, 10:-10] - 100).max() == 4


@pytest.mark.parametrize(("height", "width"), [(64, 160), (161, 90)])
def test_films_can_be_drawn_at_any_size(height, width):
    for scene in LEVEL_2[:10]:
        frames = scene.resized(height, width).render(scene.frame_times(0.5))
        assert frames.shape[1:] == (height, width, 3)


def test_captions_tell_words_sounds_shots_and_pans():
    scene = next(s for s in LEVEL_2 if s.words and s.sounds and len(s.shots) > 1)
    word, sound = scene.words[0], scene.sounds[0]
    detailed = detailed_caption(scene)
    assert f"The word {word.text} is shown at the {word.place} from {word.start_s:.1f} s" in detailed
    assert f"A {sound.name} is heard from {sound.start_s:.1f} s" in detailed
    assert f"Shot 2 is from {scene.shots[1].start_s:.1f} s" in detailed
    assert f"The word {word.text} is shown at {word.start_s:.1f} s." in short_caption(scene)
    assert f"The word {word.text} is at the {word.place}." in caption_at(scene, word.start_s + 0.5)
    panned = next(s for s in LEVEL_2 if any(shot.camera.motion == "left" for shot in s.shots))
    assert "The camera moves left." in detailed_caption(panned)


def test_questions_about_words_sounds_and_shots_are_true():
    seen = set()
    for seed, scene in enumerate(LEVEL_2):
        for question in questions(scene, np.random.default_rng(seed)):
            if question.kind == "text" and " at " in question.text:
                time_s = float(question.text.split()[-2])
                assert [w.text for w in scene.words if w.is_visible(time_s)] == [question.answer]
            if question.kind == "sound" and question.answer in ("yes", "no"):
                heard = {sound.name for sound in scene.sounds}
                assert (question.text.split()[-2] in heard or question.text[:-1].split()[-1] in heard) == (
                    question.answer == "yes"
                )
            if question.kind == "shots":
                assert question.answer == str(len(scene.shots))
            if question.kind == "cut":
                number = int(question.text.split()[-2])
                assert question.answer == f"{scene.shots[number - 1].start_s:.1f} s"
            if question.kind == "camera" and " at " in question.text:
                shot = scene.shot_at(float(question.text.split()[-2]))
                assert (question.answer, shot.background.pattern) == (shot.camera.motion, "clouds")
            seen.add(question.kind)
    assert {"text", "sound", "shots", "cut", "camera"} <= seen
