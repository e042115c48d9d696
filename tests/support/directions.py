"""Films of one toy that goes right (0) or left (1): what a classifier of motion learns from."""

import numpy as np

from kinema.processors.messages import Conversation, Message, TextPart, VideoPart
from kinema.toybox.invent_settings import plain_background
from kinema.toybox.paths import draw_path
from kinema.toybox.scene import Scene
from kinema.toybox.splits import allowed_pairs
from kinema.toybox.world import Shot, Toy

DIRECTIONS = ("right", "left")
DURATION_S = 2.0


class Directions:
    """Sample i shows direction i mod 2, its other facts drawn."""

    def __init__(self, side=28, num_frames=8):
        self.side, self.num_frames = side, num_frames

    def sample(self, index: int, rng: np.random.Generator) -> Conversation:
        scene = film(DIRECTIONS[index % 2], self.side, rng)
        frames = scene.render(np.arange(self.num_frames) * DURATION_S / self.num_frames)
        shown = Message(role="user", parts=(VideoPart(source=frames),))
        answer = Message(role="assistant", parts=(TextPart(text=str(index % 2)),))
        return Conversation(messages=(shown, answer))


def film(motion: str, side: int, rng: np.random.Generator) -> Scene:
    pairs = allowed_pairs("train")
    shape, colour = pairs[rng.integers(len(pairs))]
    toy = Toy(
        shape=shape,
        colour=colour,
        size="large",
        motion=motion,
        path=draw_path(rng, motion, "large", 0.0, DURATION_S),
        appear_s=0.0,
        disappear_s=DURATION_S,
    )
    shot = Shot(start_s=0.0, end_s=DURATION_S, background=plain_background(rng), toys=(toy,))
    return Scene(
        seed=0, level=1, split="train", duration_s=DURATION_S, shots=(shot,), height=side, width=side
    )
