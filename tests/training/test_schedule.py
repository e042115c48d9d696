import pytest

from kinema.training.schedule import Cosine


def test_the_rate_warms_up_peaks_and_falls_to_its_floor():
    schedule = Cosine(warmup_ratio=0.1, final_ratio=0.2)
    assert schedule.factor(0, 100) == pytest.approx(0.1)
    assert schedule.factor(9, 100) == pytest.approx(1.0)
    assert schedule.factor(10, 100) == pytest.approx(1.0)
    assert schedule.factor(55, 100) == pytest.approx(0.6)
    assert schedule.factor(100, 100) == pytest.approx(0.2)


def test_without_warm_up_the_first_step_has_the_peak_rate():
    assert Cosine(warmup_ratio=0.0).factor(0, 10) == pytest.approx(1.0)


def test_a_run_may_say_how_many_steps_warm_up():
    schedule = Cosine(num_warmup=4)
    assert schedule.factor(0, 1000) == pytest.approx(0.25)
    assert schedule.factor(4, 1000) == pytest.approx(1.0)
