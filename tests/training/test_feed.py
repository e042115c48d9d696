import json
import os
from dataclasses import replace

import pytest
import torch
from letters import LetterModel, LetterProcessor
from troubled import Films, LettersOneByOne, ReadsPipe, die, fail, sleep_for_ever

from kinema.datasets.mixture import mixture
from kinema.errors import ConfigError, DataError, TrainingError
from kinema.training.contrastive import Contrastive
from kinema.training.feed import feed
from kinema.training.loop import train
from kinema.training.order import Shuffled
from kinema.training.packing import Packing
from kinema.training.run import RunConfig
from kinema.training.stage import Stage


def stage(num_steps: int = 3, *, lengths=(4,), **changes) -> Stage:
    made = Stage(
        name="letters",
        learning_rates={"embedding": 0.1, "language_model": 0.1},
        data=mixture((Films(lengths), 1.0)),
        num_steps=num_steps,
        batch_size=4,
    )
    return replace(made, **changes)


def run(folder, **changes) -> RunConfig:
    return RunConfig(out_dir=folder, **{"num_workers": 0, "max_bad_share": 1.0} | changes)


def lengths_of(batches) -> list[list[int]]:
    """Of the samples of each batch, in order; 0 where padding is all there is."""
    rows = []
    for parts in batches:
        found = []
        for part in parts:
            whole = torch.ones_like(part.input_ids) if part.attention_mask is None else part.attention_mask
            found += part.segment_lengths or whole.sum(1).tolist()
        rows.append(list(found))
    return rows


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_sample_leaves_a_smaller_batch_and_no_other_in_its_place(tmp_path, workers):
    lengths = tuple(range(3, 15))
    batches = feed(LettersOneByOne({5: fail}), stage(lengths=lengths), run(tmp_path, num_workers=workers), 0)
    assert lengths_of(batches) == [[3, 4, 5, 6], [7, 9, 10], [11, 12, 13, 14]]
    assert batches.bad.by_reason == {"malformed record": 1}
    assert batches.bad.num_seen == 12


@pytest.mark.parametrize("workers", [0, 2])
def test_what_hangs_or_dies_is_left_out_and_named(tmp_path, workers):
    trouble = {1: sleep_for_ever, 7: die, 9: ReadsPipe(tmp_path / "pipe.mp4")}
    settings = run(tmp_path, num_workers=workers, sample_timeout_s=2.0)
    batches = feed(LettersOneByOne(trouble), stage(), settings, 0)
    assert lengths_of(batches) == [[4] * 3, [4] * 3, [4] * 3]
    assert batches.bad.by_reason == {"timed out": 2, "process died": 1}
    lines = [json.loads(line) for line in (tmp_path / "bad_samples.jsonl").read_text().splitlines()]
    assert [(line["step"], line["media"], line["reason"]) for line in lines] == [
        (1, ["film1.mp4"], "timed out"),
        (2, ["film7.mp4"], "process died"),
        (3, ["film9.mp4"], "timed out"),
    ]


def test_read_in_another_process_samples_are_the_same(tmp_path):
    lengths = tuple(range(3, 15))
    here, there = (
        [
            part.input_ids
            for parts in feed(LettersOneByOne(), stage(lengths=lengths), settings, 0)
            for part in parts
        ]
        for settings in (run(tmp_path), run(tmp_path, sample_timeout_s=30.0))
    )
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))


def test_no_process_is_left_when_all_is_read(tmp_path):
    class TellsItsProcess(LettersOneByOne):
        def read(self, conversation):
            return replace(super().read(conversation), input_ids=torch.full((4,), os.getpid()))

    batches = list(feed(TellsItsProcess(), stage(), run(tmp_path, sample_timeout_s=30.0), 0))
    (reader,) = {int(number) for parts in batches for part in parts for number in part.input_ids.flatten()}
    assert reader != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(reader, 0)


def test_too_many_bad_samples_end_the_run_with_what_is_wrong(tmp_path):
    trouble = dict.fromkeys(range(12), fail)
    with pytest.raises(DataError, match=r"8 of the 8 samples seen are bad \(malformed record 8\)") as raised:
        list(feed(LettersOneByOne(trouble), stage(), run(tmp_path, max_bad_share=0.05), 0))
    assert "film7.mp4: records.json, record 7: nobody answers in it" in str(raised.value)


def test_a_run_that_bad_samples_end_names_its_checkpoint_and_goes_on_when_they_are_mended(tmp_path):
    settings = run(tmp_path, max_bad_share=0.01, save_every=1)
    said = (
        r"2 of the 8 samples seen are bad .*: mend or remove them, or raise max_bad_share; "
        r"the same command goes on from .*step00000001\."
    )
    with pytest.raises(TrainingError, match=said) as raised:
        train(LetterModel(), LettersOneByOne({0: fail, 5: fail}), [stage()], settings)
    assert raised.value.exit_code == 8
    train(LetterModel(), LettersOneByOne({6: fail}), [stage()], settings)
    lines = [json.loads(line) for line in (tmp_path / "bad_samples.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 6]


def test_a_step_without_a_good_sample_moves_nothing_and_the_run_goes_on(tmp_path):
    trouble = dict.fromkeys(range(4, 8), fail)
    batches = feed(LettersOneByOne(trouble), stage(), run(tmp_path), 0)
    assert [(len(parts), batches.is_empty) for parts in batches] == [(1, False), (0, True), (1, False)]
    model, other = LetterModel(), LetterModel()
    train(model, LettersOneByOne(trouble), [stage()], run(tmp_path / "bad", log_every=1))
    lines = [json.loads(line) for line in (tmp_path / "bad" / "log.jsonl").read_text().splitlines()]
    assert [line["bad_samples"] for line in lines] == [0, 4, 4]
    assert lines[1]["loss"] is None
    assert not torch.equal(model.embedding.weight, other.embedding.weight)


def test_an_error_that_is_not_of_a_sample_ends_the_run(tmp_path):
    def wrong_settings() -> None:
        raise ConfigError("max_frames must be at least 1.")

    def a_mistake() -> None:
        raise IndexError("list index out of range")

    for trouble, timeout_s in ((wrong_settings, None), (a_mistake, None), (a_mistake, 30.0)):
        settings = run(tmp_path, sample_timeout_s=timeout_s)
        with pytest.raises((ConfigError, IndexError, RuntimeError), match=r"max_frames|list index"):
            list(feed(LettersOneByOne({0: trouble}), stage(), settings, 0))


LENGTHS = (3, 11, 4, 6, 2, 9, 5, 5, 12, 1, 3, 8)


@pytest.mark.parametrize("workers", [0, 2])
def test_packs_are_rows_of_a_budget_and_the_same_after_a_stop(tmp_path, workers):
    packed = stage(lengths=LENGTHS, packing=Packing(max_tokens=12), order=Shuffled(12))
    settings = run(tmp_path, num_workers=workers)
    whole = [part.segment_lengths for parts in feed(LettersOneByOne(), packed, settings, 0) for part in parts]
    again = [
        [part.segment_lengths for part in parts] for parts in feed(LettersOneByOne(), packed, settings, 2)
    ]
    assert sorted(length for row in whole for length in row) == sorted(LENGTHS)
    assert all(sum(row) <= 12 for row in whole)
    assert again[0] == whole[-len(again[0]) :]


def test_a_sample_that_fits_no_pack_is_cut_at_its_text(tmp_path):
    packed = stage(1, lengths=(5, 9, 3, 2), packing=Packing(max_tokens=7))
    ((one, two, three),) = feed(LettersOneByOne(), packed, run(tmp_path), 0)
    assert [part.segment_lengths for part in (one, two, three)] == [(7,), (5, 2), (3,)]
    assert one.num_cut == 1


def test_packed_or_padded_the_same_is_learned(tmp_path):
    padded, packed = LetterModel(), LetterModel()
    data = stage(8, lengths=LENGTHS)
    train(padded, LettersOneByOne(), [data], run(tmp_path / "padded", log_every=1))
    train(
        packed,
        LettersOneByOne(),
        [replace(data, packing=Packing(max_tokens=14))],
        run(tmp_path / "packed", log_every=1),
    )
    for one, other in zip(padded.parameters(), packed.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    lines = [
        [json.loads(line) for line in (tmp_path / kind / "log.jsonl").read_text().splitlines()]
        for kind in ("padded", "packed")
    ]
    for one, other in zip(*lines, strict=True):
        assert abs(one["loss"] - other["loss"]) < 1e-4
        assert one["real_tokens"] < 0.8
        assert other["real_tokens"] == 1.0
    assert lines[0][0]["step"] == 1


def test_a_packed_run_with_bad_samples_that_was_stopped_ends_as_one_that_was_not(tmp_path):
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    data = stage(5, lengths=LENGTHS, packing=Packing(max_tokens=12), order=Shuffled(30))
    stopped_at = data.order.batch(3, 4)[1]
    bad = {number: fail for step in (1, 4) for number in data.order.batch(step, 4)[:2]}
    whole, resumed = LetterModel(), LetterModel()
    train(whole, LettersOneByOne(bad), [data], run(tmp_path / "whole"))
    settings = run(tmp_path / "parts", save_every=2)
    with pytest.raises(Stopped):
        train(LetterModel(), LettersOneByOne(bad | {stopped_at: stop}), [data], settings)
    train(resumed, LettersOneByOne(bad), [data], settings)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_what_cannot_be_packed_is_refused(tmp_path):
    packed = stage(packing=Packing(max_tokens=8))
    with pytest.raises(ConfigError, match="LetterProcessor does not pack"):
        feed(LetterProcessor(), packed, run(tmp_path), 0)
    with pytest.raises(ConfigError, match="Contrastive compares rows with each other"):
        feed(LettersOneByOne(), replace(packed, loss=Contrastive()), run(tmp_path), 0)


@pytest.mark.parametrize("wrong", [{"sample_timeout_s": 0.0}, {"max_bad_share": 1.5}])
def test_a_limit_that_cannot_be_is_refused(tmp_path, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        run(tmp_path, **wrong)
