"""One moment of a scene as a scene of its own: the first stages of training learn from such images."""

from dataclasses import replace

from kinema.toybox.scene import Scene
from kinema.toybox.world import Camera, Toy

STILL_S = 1.0
"""How long a still lasts; a reader at one frame a second sees one frame."""


def freeze(scene: Scene, time_s: float) -> Scene:
    """The facts of the picture at one time: the toys seen then, as they look then, standing still."""
    shot = scene.shot_at(time_s)
    still = replace(
        shot,
        start_s=0.0,
        end_s=STILL_S,
        toys=tuple(_freeze_toy(toy, time_s) for toy in shot.toys if toy.is_visible(time_s)),
        words=tuple(replace(w, start_s=0.0, end_s=STILL_S) for w in shot.words if w.is_visible(time_s)),
        camera=Camera(),
        dissolve_s=0.0,
    )
    return replace(scene, duration_s=STILL_S, shots=(still,), sounds=())


def _freeze_toy(toy: Toy, time_s: float) -> Toy:
    return replace(
        toy,
        colour=toy.colour_at(time_s),
        motion="still",
        path=((0.0, *toy.position(time_s)),),
        appear_s=0.0,
        disappear_s=STILL_S,
        recolour=None,
    )
