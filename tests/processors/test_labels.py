import torch

from kinema.processors.chat import EncodedTurn
from kinema.processors.labels import IGNORE_INDEX, supervise, thin_decisions

IM_START, IM_END, STREAM_START, STREAM_END, IMAGE, NEWLINE = 1, 2, 3, 4, 5, 6


def answer(*words):
    ids = (IM_START, 10, NEWLINE, *words, IM_END, NEWLINE)
    return EncodedTurn("assistant", ids, (False,) * len(ids), 3, 1)


def question(*words):
    ids = (IM_START, 11, NEWLINE, *words, IM_END, NEWLINE)
    return EncodedTurn("user", ids, (False,) * len(ids), 3, 1)


def frame():
    ids = (STREAM_START, 12, NEWLINE, IMAGE, IMAGE, NEWLINE, STREAM_END)
    return EncodedTurn("stream", ids, tuple(token == IMAGE for token in ids), 3, 0)


def supervised(turns, **rule):
    return [label for label in supervise(turns, **rule).labels if label != IGNORE_INDEX]


def test_only_the_assistants_words_and_the_end_of_its_turn_carry_loss():
    supervision = supervise([question(20), answer(30, 31)])
    assert supervision.labels == (IGNORE_INDEX,) * 9 + (30, 31, IM_END, IGNORE_INDEX)


def test_a_frame_is_followed_by_a_decision_to_be_silent_or_to_speak():
    supervision = supervise([frame(), frame(), answer(30)])
    assert supervision.decisions == {STREAM_START: [7], IM_START: [14]}
    assert supervised([frame(), frame(), answer(30)]) == [STREAM_START, IM_START, 30, IM_END]


def test_the_last_frame_is_followed_by_nothing():
    assert supervised([frame()]) == []


def test_the_training_code_supervises_the_end_of_a_frame_instead():
    assert supervised([frame(), answer(30)], stream_rule="frame_end") == [NEWLINE, STREAM_END, 30, IM_END]


def test_thinning_keeps_the_rarer_decision():
    turns = [frame(), frame(), frame(), answer(30)]
    thinned = thin_decisions(supervise(turns), torch.Generator().manual_seed(0))
    assert thinned.count(STREAM_START) == 1
    assert thinned.count(IM_START) == 1


def test_without_a_stream_there_is_nothing_to_thin():
    supervision = supervise([question(20), answer(30)])
    assert thin_decisions(supervision, torch.Generator()) == supervision.labels
