import numpy as np

from kinema.media.timeline import Timeline


def timeline(*pts_s):
    return Timeline(
        pts_s=np.array(pts_s), is_keyframe=np.ones(len(pts_s), bool), end_s=pts_s[-1] + 1.0, rate=1.0
    )


def test_a_range_holds_the_frames_that_appear_in_it():
    clip = timeline(0.5, 1.0, 1.5, 2.0)
    assert clip.between(1.0, 2.0) == range(1, 3)
    assert clip.between(None, 1.2) == range(0, 2)
    assert clip.between(1.2, None) == range(2, 4)


def test_a_range_in_which_none_appears_holds_the_one_being_shown():
    clip = timeline(0.0, 1.0, 5.0)
    assert clip.between(2.0, 3.0) == range(1, 2)
    assert clip.between(5.5, 5.6) == range(2, 3)


def test_the_nearest_frame_is_the_earlier_one_on_a_tie():
    clip = timeline(0.0, 1.0, 2.0)
    assert clip.nearest(np.array([-3.0, 0.4, 0.5, 0.6, 9.0])).tolist() == [0, 0, 0, 1, 2]
    assert clip.nearest(np.array([0.0, 9.0]), range(1, 2)).tolist() == [1, 1]


def test_the_last_frame_before_a_time_is_strictly_before_it():
    clip = timeline(0.0, 1.0, 2.0)
    assert clip.last_before(np.array([1.0, 1.1, 2.0, 9.0, 0.0])).tolist() == [0, 1, 1, 2, 0]


def test_a_rate_varies_if_a_gap_differs_beyond_rounding():
    assert not timeline(0.0, 0.033, 0.067, 0.1).is_variable_rate  # Matroska's milliseconds
    assert timeline(0.0, 0.1, 0.2, 0.4).is_variable_rate
    assert not timeline(3.0).is_variable_rate


def test_length_runs_from_the_first_frame_to_the_end_of_the_last():
    clip = timeline(0.5, 1.0)
    assert (clip.start_s, clip.end_s, clip.duration_s, len(clip)) == (0.5, 2.0, 1.5, 2)
