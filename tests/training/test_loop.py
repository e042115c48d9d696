import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from letters import LetterModel, LetterProcessor, Letters, letter_run, letter_stage
from torch import nn

from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError, DataError, WeightsError
from kinema.processors.inputs import ModelInputs
from kinema.processors.messages import Conversation
from kinema.training.loop import train
from kinema.training.losses import NextToken
from kinema.training.order import Repeated, Shuffled


def test_a_stage_learns_and_logs(tmp_path):
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=60)], letter_run(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(5, 61, 5))
    assert lines[0]["loss"] > 2.0
    assert lines[-1]["loss"] < 0.2


def test_samples_that_were_too_long_are_counted(tmp_path):
    class CutsOne(LetterProcessor):
        def __call__(self, conversations, *, with_labels: bool) -> ModelInputs:
            return replace(super().__call__(conversations, with_labels=with_labels), num_cut=1)

        def with_settings(self, **settings: object) -> "CutsOne":
            return self

    train(LetterModel(), CutsOne(), [letter_stage(num_steps=10)], letter_run(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["cut_samples"] for line in lines] == [5, 5]


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path):
    stages = [letter_stage("one", 10), letter_stage("two", 12, learning_rates={"language_model": 0.1})]
    whole = LetterModel()
    train(whole, LetterProcessor(), stages, letter_run(tmp_path / "whole"))

    class Stopped(Exception):
        pass

    class StopsInTheSecondStage(LetterProcessor):
        calls = 0

        def __call__(self, conversations, *, with_labels: bool) -> ModelInputs:
            StopsInTheSecondStage.calls += 1
            if StopsInTheSecondStage.calls > 18:
                raise Stopped
            return super().__call__(conversations, with_labels=with_labels)

        def with_settings(self, **settings: object) -> "StopsInTheSecondStage":
            return self

    with pytest.raises(Stopped):
        train(LetterModel(), StopsInTheSecondStage(), stages, letter_run(tmp_path / "parts"))
    resumed = LetterModel()
    train(resumed, LetterProcessor(), stages, letter_run(tmp_path / "parts"))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    train(LetterModel(), LetterProcessor(), [letter_stage(num_steps=1)], letter_run(tmp_path))
    other = LetterModel()
    other.embedding = nn.Embedding(27, 8)
    with pytest.raises(WeightsError, match="another model"):
        train(other, LetterProcessor(), [letter_stage(num_steps=2)], letter_run(tmp_path))


def test_each_stage_that_ends_is_told(tmp_path):
    ended = []
    stages = [letter_stage("one", 2), letter_stage("two", 2)]
    train(
        LetterModel(),
        LetterProcessor(),
        stages,
        letter_run(tmp_path),
        on_stage_end=lambda stage: ended.append(stage.name),
    )
    assert ended == ["one", "two"]


def test_a_batch_without_a_label_is_an_error():
    ids = torch.zeros(1, 3, dtype=torch.int64)
    inputs = ModelInputs(input_ids=ids, position_ids=ids, labels=torch.full_like(ids, -100))
    with pytest.raises(DataError, match="no token of the batch has a label"):
        NextToken()(LetterModel(), inputs)


def test_a_stage_says_what_is_wrong_with_it():
    with pytest.raises(ConfigError, match="leave a part out to freeze it"):
        letter_stage(learning_rates={"embedding": 0.0})
    with pytest.raises(ConfigError, match="got 0 and 8"):
        letter_stage(num_steps=0)


def test_a_sample_that_comes_again_is_the_same_with_another_seed(tmp_path):
    seen = []

    class Watching(LetterProcessor):
        def __call__(self, conversations, *, with_labels: bool) -> ModelInputs:
            seen.extend((talk.messages[0].text, talk.seed) for talk in conversations)
            return super().__call__(conversations, with_labels=with_labels)

        def with_settings(self, **settings: object) -> "Watching":
            return self

    twice = letter_stage(num_steps=2, order=Repeated(Shuffled(4), 2))
    train(LetterModel(), Watching(), [twice], letter_run(tmp_path / "first"))
    first, seen[:] = list(seen), []
    train(LetterModel(), Watching(), [twice], letter_run(tmp_path / "again"))
    assert first == seen
    assert sorted(text for text, _ in first[:8]) == sorted(text for text, _ in first[8:])
    assert all(first[place][0] == first[place + 1][0] for place in range(0, 16, 2))
    assert len({seed for _, seed in first}) == 16


def test_a_sample_keeps_a_seed_of_its_own(tmp_path):
    class Seeded(Letters):
        def sample(self, index: int, rng: np.random.Generator) -> Conversation:
            return replace(super().sample(index, rng), seed=index)

    class Watching(LetterProcessor):
        seeds = ()

        def __call__(self, conversations, *, with_labels: bool) -> ModelInputs:
            Watching.seeds += tuple(talk.seed for talk in conversations)
            return super().__call__(conversations, with_labels=with_labels)

        def with_settings(self, **settings: object) -> "Watching":
            return self

    train(
        LetterModel(),
        Watching(),
        [letter_stage(num_steps=1, data=mixture((Seeded(), 1.0)))],
        letter_run(tmp_path),
    )
    assert Watching.seeds == tuple(range(8))


def test_a_run_in_parts_ends_as_one_whole_and_counts_steps(tmp_path):
    whole, parts = LetterModel(), LetterModel()
    train(whole, LetterProcessor(), [letter_stage(num_steps=5)], letter_run(tmp_path / "whole", log_every=1))
    settings = letter_run(tmp_path / "parts", log_every=1, max_samples_at_once=3)
    train(parts, LetterProcessor(), [letter_stage(num_steps=5)], settings)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert len((tmp_path / "parts" / "log.jsonl").read_text().splitlines()) == 5


def test_a_part_has_at_least_one_sample(tmp_path):
    with pytest.raises(ConfigError, match="max_samples_at_once 0"):
        letter_run(tmp_path, max_samples_at_once=0)
