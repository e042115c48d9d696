import json
from pathlib import Path

import numpy as np
import pytest

from kinema.recipes.recipe import Request
from kinema.recipes.video_llava import VIDEO_LLAVA_7B
from kinema.training.stage import Stage


def write_records(path: Path, kind: str | None, count: int) -> None:
    path.parent.mkdir(exist_ok=True)
    turns = [{"from": "human", "value": "Describe it."}, {"from": "gpt", "value": "A dog runs."}]
    if kind is not None:
        turns[0]["value"] = f"<{kind}>\nDescribe it."
    record = {"conversations": turns} | ({kind: f"{path.stem}/1"} if kind else {})
    path.write_text(json.dumps([record] * count))


FILES = {"align": ("image", "video"), "tune": ("image", "video", None)}
"""A file of records for each kind of media in each stage."""


@pytest.fixture(scope="module")
def stages(tmp_path_factory) -> list[Stage]:
    folder = tmp_path_factory.mktemp("data")
    data = {
        stage: tuple(str(folder / f"{stage}_{kind}.json") for kind in kinds) for stage, kinds in FILES.items()
    }
    for stage, kinds in FILES.items():
        for file, kind in zip(data[stage], kinds, strict=True):
            write_records(Path(file), kind, 300)
    return VIDEO_LLAVA_7B.stages(Request(data=data, media=str(folder)))


def test_the_published_data_make_the_published_steps():
    steps = [stage.num_steps for stage in VIDEO_LLAVA_7B.stages(Request())]
    assert steps == [pytest.approx(4_900, rel=0.01), pytest.approx(6_000, rel=0.01)]


def test_the_stages_are_the_published_ones(stages):
    align, tune = stages
    assert align.learning_rates == {"connector": 1e-3}
    assert tune.learning_rates == {"connector": 2e-5, "language_model": 2e-5}
    assert [(stage.batch_size, stage.num_steps) for stage in stages] == [(256, 600 // 256), (128, 900 // 128)]
    assert [stage.processor["image_fit"] for stage in stages] == ["crop", "pad"]
    assert {stage.schedule.warmup_ratio for stage in stages} == {0.03}
    assert {stage.optimizer.weight_decay for stage in stages} == {0.0}


def test_low_rank_updates_are_those_of_the_published_script():
    align, tune = VIDEO_LLAVA_7B.stages(Request(lora=True))
    assert align.learning_rates == {"connector": 1e-3}
    assert tune.learning_rates == {"connector": 2e-5, "language_model": 2e-4}
    updates = VIDEO_LLAVA_7B.updates
    assert (updates.rank, updates.alpha, updates.dropout) == (128, 256.0, 0.05)


def test_images_and_videos_mix_in_a_batch_of_either_stage(stages):
    for stage in stages:
        batch = [
            stage.data.sample(i, np.random.default_rng(0)) for i in stage.order.batch(0, stage.batch_size)
        ]
        kinds = {type(part).__name__ for talk in batch for part in talk.messages[0].parts}
        assert kinds in ({"ImagePart", "VideoPart", "TextPart"}, {"TextPart"})
    kinds = set()
    for step in range(stages[1].num_steps):
        samples = stages[1].order.batch(step, 128)
        kinds.add(frozenset("text" if index >= 600 else "visual" for index in samples))
    assert frozenset({"visual"}) in kinds
    assert frozenset({"text"}) in kinds
