"""Questions are true, can be answered, and do not help a guesser."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from kinema.toybox import Scene, make_scene, questions, questions_at
from kinema.toybox.questions import LOOKS
from kinema.toybox.vocabulary import COLOURS, place_at
from kinema.toybox.world import Background, Recolour, Shot, Toy

LEVEL_1_KINDS = {"colour", "shape", "size", "count", "position", "existence"} | {
    *("motion", "change", "order", "when", "moment")
}
WHITE = Background(tone="white", rgb=(238, 238, 238))


def toy_of(shape: str, colour: str, size: str = "large", **changes) -> Toy:
    facts = {"motion": "still", "path": ((0.0, 0.2, 0.2),), "appear_s": 0.0, "disappear_s": 6.0}
    return Toy(shape=shape, colour=colour, size=size, **{**facts, **changes})


def scene_of(*toys: Toy) -> Scene:
    shot = Shot(start_s=0.0, end_s=6.0, background=WHITE, toys=toys)
    return Scene(seed=0, level=1, split="test", duration_s=6.0, shots=(shot,))


def answers(scene: Scene, kind: str) -> dict[str, str]:
    """Every question of one kind, over many wordings and times."""
    asked = [q for seed in range(60) for q in questions(scene, np.random.default_rng(seed)) if q.kind == kind]
    texts = {question.text: question.answer for question in asked}
    assert all(texts[question.text] == question.answer for question in asked)
    return texts


def test_the_answers_about_one_toy_are_its_facts():
    star = toy_of("star", "red", path=((0.0, 0.8, 0.5),), appear_s=1.5, disappear_s=4.5)
    scene = scene_of(star)
    assert answers(scene, "colour")["What colour is the star?"] == "red"
    assert answers(scene, "shape")["What shape is the red object?"] == "star"
    assert answers(scene, "size")["How large is the red star?"] == "large"
    assert answers(scene, "position")["Where is the red star?"] == "right"
    assert answers(scene, "motion")["How does the red star move?"] == "still"
    assert answers(scene, "when")["When is the red star visible?"] == "1.5-4.5 s"
    assert answers(scene, "moment")["When does the red star appear?"] == "1.5 s"
    assert answers(scene, "moment")["When does the red star disappear?"] == "4.5 s"
    assert answers(scene, "count")["How many objects are there?"] == "1"
    assert answers(scene, "count")["How many objects are there at 1.0 s?"] == "0"
    assert answers(scene, "count")["How many objects are there at 2.0 s?"] == "1"
    assert answers(scene, "existence")["Is there a red star?"] == "yes"
    assert set(answers(scene, "existence").values()) == {"yes", "no"}


def test_a_change_of_colour_can_be_asked_about():
    scene = scene_of(toy_of("ring", "green", recolour=Recolour(at_s=2.5, colour="orange")))
    colours = answers(scene, "colour")
    assert colours["What colour is the ring at 2.0 s?"] == "green"
    assert colours["What colour is the ring at 3.0 s?"] == "orange"
    assert "What colour is the ring?" not in colours
    assert answers(scene, "change")["What colour does the green ring become?"] == "orange"
    assert answers(scene, "moment")["When does the green ring change colour?"] == "2.5 s"
    assert answers(scene, "when")["When is the ring green?"] == "0.0-2.5 s"
    assert answers(scene, "when")["When is the ring orange?"] == "2.5-6.0 s"


def test_the_order_of_two_toys_is_asked_either_way_round():
    scene = scene_of(toy_of("star", "red"), toy_of("ring", "blue", appear_s=2.5, disappear_s=5.5))
    order = answers(scene, "order")
    assert order["Which appears first, the red star or the blue ring?"] == "red star"
    assert order["Which appears first, the blue ring or the red star?"] == "red star"
    assert order["Which disappears first, the red star or the blue ring?"] == "blue ring"


def test_toys_that_come_and_go_together_have_no_order():
    assert not answers(scene_of(toy_of("star", "red"), toy_of("ring", "blue")), "order")


def test_a_name_that_fits_two_toys_is_told_apart_by_size_or_not_used():
    same_shape = scene_of(toy_of("star", "red", "large"), toy_of("star", "blue", "small"))
    assert answers(same_shape, "colour")["What colour is the small star?"] == "blue"
    assert not answers(scene_of(toy_of("star", "red"), toy_of("star", "blue")), "colour")
    becomes_red = toy_of("ring", "blue", recolour=Recolour(at_s=2.5, colour="red"))
    assert "What shape is the red object?" not in answers(
        scene_of(toy_of("star", "red"), becomes_red), "shape"
    )


def test_a_picture_is_asked_only_what_it_shows():
    star = toy_of("star", "red", recolour=Recolour(at_s=2.5, colour="blue"))
    scene = scene_of(star, toy_of("ring", "green", appear_s=3.5))
    rng = np.random.default_rng(0)
    before = {question.kind: question.answer for question in questions_at(scene, 1.0, rng)}
    assert set(before) == set(LOOKS) - {"text"}
    assert (before["colour"], before["shape"], before["position"]) == ("red", "star", "top left")
    after = questions_at(scene, 4.0, rng)
    assert {question.answer for question in after if question.kind == "colour"} == {"blue", "green"}
    assert not any(" s?" in question.text for question in after)


def test_spans_are_the_numbers_of_their_answers():
    asked = [q for seed in range(100) for q in questions(make_scene(seed), np.random.default_rng(seed))]
    spans = [question for question in asked if question.kind == "when"]
    assert len(spans) > 100
    assert all(question.answer == f"{question.span[0]:.1f}-{question.span[1]:.1f} s" for question in spans)
    assert all(question.span is None for question in asked if question.kind != "when")


def test_colour_and_position_answers_are_true_of_the_pixels():
    """Recomputes the answers from the picture alone, in scenes with one toy."""
    checked = 0
    for seed in range(80):
        scene = make_scene(seed, split="test")
        if len(scene.toys) > 1 or not scene.toys[0].is_visible(2.0):
            continue
        picture = scene.render([2.0])[0]
        colour = max(COLOURS, key=lambda name: (picture == COLOURS[name]).all(axis=-1).sum())
        y, x = (np.argwhere((picture == COLOURS[colour]).all(axis=-1)).mean(axis=0) + 0.5) / 112
        for question in questions_at(scene, 2.0, np.random.default_rng(seed)):
            if question.kind == "colour":
                assert question.answer == colour
            if question.kind == "position":
                assert question.answer == place_at(x, y)
                checked += 1
    assert checked > 10


def test_at_most_as_many_questions_are_picked_as_asked_for():
    rng = np.random.default_rng(0)
    scene = make_scene(1)
    assert len(questions(scene, rng, 3)) == 3
    everything = questions(scene, np.random.default_rng(5))
    assert len(questions(scene, np.random.default_rng(5), 1000)) == len(everything)


def blind_score(asked: list) -> tuple[float, dict[str, float]]:
    """Exact match of always giving the commonest answer of a kind; for ``order``, of the commoner side."""
    counts: dict[str, Counter] = defaultdict(Counter)
    for question in asked:
        answer = question.answer
        if question.kind == "order":
            answer = (
                "first" if question.text.index(f"the {answer}") < question.text.index(" or ") else "second"
            )
        counts[question.kind][answer] += 1
    right = {kind: max(count.values()) for kind, count in counts.items()}
    return sum(right.values()) / len(asked), {kind: right[kind] / counts[kind].total() for kind in counts}


@pytest.mark.parametrize("split", ["train", "test", "test_combinations"])
def test_a_guesser_without_the_video_does_badly(split):
    rng = np.random.default_rng(0)
    asked = [q for seed in range(1000) for q in questions(make_scene(seed, split=split), rng, 8)]
    overall, per_kind = blind_score(asked)
    assert len(asked) > 7900
    assert set(per_kind) == LEVEL_1_KINDS
    assert overall <= 0.35
    assert max(per_kind.values()) <= 0.6


def test_a_guesser_without_the_picture_does_badly():
    rng = np.random.default_rng(0)
    asked = [q for seed in range(500) for q in questions_at(make_scene(seed), float(seed % 4), rng, 4)]
    overall, per_kind = blind_score(asked)
    assert overall <= 0.4
    assert max(per_kind.values()) <= 0.6


def test_no_held_out_pair_is_asked_about_in_training():
    rng = np.random.default_rng(0)
    texts = [q.text for seed in range(300) for q in questions(make_scene(seed), rng)]
    assert not any("purple circle" in text or "orange square" in text for text in texts)
