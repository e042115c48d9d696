import json

import pytest

from kinema.errors import DataError, MediaError, OutOfBudgetError
from kinema.training.bad_samples import BadSample, BadSamples
from kinema.training.watched import TookTooLongError

GOOD = [None]


def bad(error: Exception, index: int = 7) -> BadSample:
    return BadSample.of(error, index, ("film.mp4",))


def counter(folder, max_share: float = 0.05) -> BadSamples:
    return BadSamples(folder / "run" / "bad_samples.jsonl", "tune", max_share)


def test_bad_samples_are_counted_by_reason_and_named(tmp_path):
    counted = counter(tmp_path)
    counted.add(0, [bad(MediaError("film.mp4: broken.")), *GOOD * 3])
    counted.add(1, [bad(TookTooLongError("slow")), None, bad(MediaError("film.mp4: broken."), 9), None])
    assert counted.by_reason == {"unreadable media": 2, "timed out": 1}
    assert counted.num_bad == 3
    lines = [json.loads(line) for line in counted.path.read_text().splitlines()]
    assert lines[0] == {
        "stage": "tune",
        "step": 1,
        "index": 7,
        "media": ["film.mp4"],
        "reason": "unreadable media",
        "error": "film.mp4: broken.",
    }
    assert [line["index"] for line in lines] == [7, 7, 9]


def test_no_file_is_made_while_all_is_well(tmp_path):
    counted = counter(tmp_path)
    counted.add(0, GOOD * 4)
    assert not counted.path.exists()


def test_a_lost_file_is_no_malformed_record():
    assert bad(FileNotFoundError(2, "No such file")).reason == "unreadable file"
    assert bad(OutOfBudgetError("long")).reason == "too long"


def test_the_first_bad_samples_do_not_stop_a_run_and_one_too_many_does(tmp_path):
    counted = counter(tmp_path)
    counted.add(0, [bad(MediaError("broken"))] * 5)
    with pytest.raises(DataError, match=r"6 of the 6 samples seen are bad \(unreadable media 6\)") as raised:
        counted.add(1, [bad(MediaError("broken"))])
    assert "film.mp4: broken" in str(raised.value)
    assert "max_bad_share is 0.05" in str(raised.value)


def test_the_last_error_is_told_once(tmp_path):
    with pytest.raises(DataError, match=r"The last is film\.mp4: there is no such file\. All are in"):
        counter(tmp_path, 0.0).add(0, [bad(MediaError("film.mp4: there is no such file."))])


def test_the_share_is_of_what_was_seen(tmp_path):
    counted = counter(tmp_path)
    counted.add(0, GOOD * 950 + [bad(MediaError("broken"))] * 50)
    with pytest.raises(DataError, match="51 of the 1001 samples"):
        counted.add(1, [bad(MediaError("broken"))])


def test_a_share_of_zero_takes_no_bad_sample(tmp_path):
    with pytest.raises(DataError, match="1 of the 1 samples"):
        counter(tmp_path, 0.0).add(0, [bad(MediaError("broken"))])


def test_a_hundred_bad_samples_in_a_row_end_a_run_whatever_their_share(tmp_path):
    counted = counter(tmp_path)
    counted.add(0, GOOD * 10_000)
    counted.add(1, [None] + [bad(MediaError("broken"))] * 99)
    said = r"stage tune: 100 samples in a row are bad\. The last is film\.mp4: gone\. All are in .*jsonl: see"
    with pytest.raises(DataError, match=said):
        counted.add(2, [bad(MediaError("gone")), None])


def test_a_good_sample_between_them_begins_a_new_row(tmp_path):
    counted = counter(tmp_path)
    counted.add(0, GOOD * 10_000)
    counted.add(1, [bad(MediaError("broken"))] * 99 + GOOD + [bad(MediaError("broken"))] * 99)
    assert counted.num_in_a_row == 99
