"""A scene is drawn as its facts say, at any size and time, and its facts can be written and read."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kinema.errors import InputError
from kinema.toybox import Scene, from_facts, make_scene
from kinema.toybox.vocabulary import COLOURS, SHAPES
from kinema.toybox.world import Background, Recolour, Shot, Toy

GREY = (128, 128, 128)


def scene_of(*toys: Toy, duration_s: float = 6.0) -> Scene:
    shot = Shot(start_s=0.0, end_s=duration_s, background=Background(tone="grey", rgb=GREY), toys=toys)
    return Scene(seed=0, level=1, split="test", duration_s=duration_s, shots=(shot,))


def toy_of(**changes) -> Toy:
    facts = {
        "shape": "square",
        "colour": "red",
        "size": "large",
        "motion": "still",
        "path": ((0.0, 0.5, 0.5),),
        "appear_s": 0.0,
        "disappear_s": 6.0,
    }
    return Toy(**{**facts, **changes})


def test_facts_survive_json():
    for seed in range(50):
        scene = make_scene(seed)
        assert from_facts(json.loads(json.dumps(scene.facts()))) == scene


def test_a_toy_is_drawn_only_while_it_is_there():
    scene = scene_of(toy_of(appear_s=1.5, disappear_s=4.5))
    centres = scene.render([0.0, 1.49, 1.5, 4.0, 4.5])[:, 56, 56]
    assert centres.tolist() == [list(GREY)] * 2 + [list(COLOURS["red"])] * 2 + [list(GREY)]


def test_a_toy_changes_its_colour_at_its_time():
    scene = scene_of(toy_of(recolour=Recolour(at_s=2.5, colour="blue")))
    centres = scene.render([2.0, 2.5])[:, 56, 56]
    assert centres.tolist() == [list(COLOURS["red"]), list(COLOURS["blue"])]


def test_a_moving_toy_is_drawn_where_its_path_is():
    scene = scene_of(toy_of(motion="right", path=((0.0, 0.25, 0.25), (6.0, 0.75, 0.25))))
    frames = scene.render([0.0, 3.0])
    is_red = (frames == COLOURS["red"]).all(axis=-1)
    middles = [np.argwhere(picture).mean(axis=0) + 0.5 for picture in is_red]
    np.testing.assert_allclose(middles, [[28, 28], [28, 56]], atol=0.3)


def is_red_or_reddish(picture: np.ndarray) -> np.ndarray:
    """Where a red toy is drawn, its smooth edge included; nothing else in these pictures has a colour."""
    return picture[..., 0] != picture[..., 1]


@pytest.mark.parametrize("shape", set(SHAPES) - {"ring"})
@pytest.mark.parametrize(("height", "width"), [(112, 112), (48, 200), (301, 77)])
def test_a_shape_is_as_large_as_its_size_says_in_any_picture(shape, height, width):
    scene = scene_of(toy_of(shape=shape)).resized(height, width)
    picture = scene.render([0.0])[0]
    rows, columns = np.nonzero(is_red_or_reddish(picture))
    assert picture.shape == (height, width, 3)
    assert picture[height // 2, width // 2].tolist() == list(COLOURS["red"])
    extent = max(np.ptp(rows), np.ptp(columns)) + 1
    assert extent == pytest.approx(0.38 * min(height, width), rel=0.17, abs=1.5)


def test_a_ring_has_a_hole():
    picture = scene_of(toy_of(shape="ring")).render([0.0])[0]
    assert picture[56, 56].tolist() == list(GREY)
    assert picture[56, 56 + 16].tolist() == list(COLOURS["red"])


def test_all_shapes_differ_even_when_small():
    pictures = [scene_of(toy_of(shape=shape, size="small")).render([0.0])[0].astype(int) for shape in SHAPES]
    drawn = is_red_or_reddish(pictures[0]).sum()
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert (abs(one - other).max(axis=-1) > 64).sum() > 0.1 * drawn


def test_toys_at_the_edge_of_a_tiny_picture_are_cut_off_there():
    scene = scene_of(toy_of(path=((0.0, 0.0, 1.0),))).resized(16, 16)
    picture = scene.render([0.0])[0]
    assert picture[-1, 0].tolist() == list(COLOURS["red"])
    assert picture[4, -5].tolist() == list(GREY)


@pytest.mark.parametrize(("grey", "edge"), [(24, 84), (140, 80), (238, 178)])
@pytest.mark.parametrize(("height", "width", "thickness"), [(112, 112, 3), (48, 200, 2), (400, 300, 8)])
def test_every_picture_has_a_border_unlike_its_background(grey, edge, height, width, thickness):
    shot = Shot(start_s=0.0, end_s=6.0, background=Background(tone="grey", rgb=(grey,) * 3), toys=())
    picture = replace(scene_of(), shots=(shot,)).resized(height, width).render([0.0])[0]
    inner = picture[thickness:-thickness, thickness:-thickness]
    assert (inner == grey).all()
    assert (picture == edge).all(-1).sum() == height * width - inner.shape[0] * inner.shape[1]


def test_frames_are_the_pictures_of_their_times():
    scene = make_scene(3)
    assert scene.frame_times(2)[:3] == [0.0, 0.5, 1.0]
    frames = list(scene.frames(10))
    assert len(frames) == scene.duration_s * 10
    np.testing.assert_array_equal(frames[35], scene.render([3.5])[0])


def test_times_can_be_asked_for_in_any_order():
    scene = make_scene(3)
    np.testing.assert_array_equal(scene.render([3.0, 0.0]), scene.render([0.0, 3.0])[::-1])


@pytest.mark.parametrize("time_s", [-0.1, 6.0])
def test_a_time_outside_the_scene_is_refused(time_s):
    with pytest.raises(InputError, match="lasts from 0 to 6"):
        scene_of(toy_of()).render([time_s])
