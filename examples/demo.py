"""Draw a short video with sound, and ask the embedded model three questions whose answers are known.

    python examples/demo.py [FOLDER]

The video is written to FOLDER, by default ``demo``. It is a scene that the training never saw.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import kinema
from kinema.errors import KinemaError
from kinema.toybox import Question, Scene, make_scene, questions, write_clip
from kinema.toybox.invent_settings import invent_sounds

SEED = 3
KINDS = ("colour", "motion", "when")


def main(folder: Path) -> None:
    """Draw, ask, compare."""
    folder.mkdir(parents=True, exist_ok=True)
    scene, path = scene_with_sound(), folder / "toybox.mp4"
    write_clip(scene, path)
    describe(path)

    model = kinema.load()
    with model.session(path) as talk:
        (video,) = talk.last_usage.items
        print(f"tokens kept: {talk.last_usage.kept_tokens} of {talk.last_usage.visual_tokens}, by frame:")
        for time_s, kept in zip(video.times_s, video.tokens_per_frame, strict=True):
            print(f"  at {time_s:.2f} s  {kept:3}")
        for question in one_of_each_kind(scene):
            talk.forget()
            print(f"\n{question.text}")
            print(f"  nano:  {talk.ask(question.text)}")
            print(f"  truth: {question.answer}")


def scene_with_sound() -> Scene:
    """A scene of the first level, which nano knows; its events, silent by themselves, are given sounds."""
    scene = make_scene(SEED, level=1, split="test")
    return replace(scene, sounds=invent_sounds(np.random.default_rng(SEED), scene.shots, share=1.0))


def describe(path: Path) -> None:
    """Say what the file holds, as it is read back."""
    with kinema.open_video(path) as video:
        info, sound = video.info, video.audio()
        print(
            f"{path}: {info.codec}, {info.width} x {info.height}, {len(video.timeline)} frames, "
            f"{info.duration_s:.1f} s, {sound.duration_s:.1f} s of sound, peak {abs(sound.data).max():.2f}"
        )


def one_of_each_kind(scene: Scene) -> list[Question]:
    """The first question of each of ``KINDS``."""
    asked = questions(scene, np.random.default_rng(SEED))
    return [next(question for question in asked if question.kind == kind) for kind in KINDS]


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
    except KinemaError as error:
        sys.exit(f"error: {error}")
