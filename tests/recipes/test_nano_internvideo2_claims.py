import pytest

from kinema.recipes import nano_internvideo2_claims as claims


@pytest.fixture(scope="module")
def compared(internvideo2_run):
    return claims.compare(internvideo2_run, num_seeds=1, num_films=4, num_galleries=1)


def test_every_claim_rests_on_what_every_seed_measured(compared):
    assert len(compared) == 1
    for row in compared:
        assert {measure for pair in claims.CLAIMS.values() for measure in pair} <= row.keys()
        assert all(0 <= recall <= 1 for recall in row.values())


def test_a_finished_comparison_is_read_not_repeated(internvideo2_run, compared):
    files = sorted(internvideo2_run.out_dir.rglob("*.safetensors"))
    before = [path.stat().st_mtime_ns for path in files]
    assert claims.compare(internvideo2_run, num_seeds=1, num_films=4, num_galleries=1) == compared
    assert [path.stat().st_mtime_ns for path in files] == before


def test_a_summary_gives_mean_and_spread_of_both_sides_and_of_their_difference():
    row = dict.fromkeys((measure for pair in claims.CLAIMS.values() for measure in pair), 0.5)
    better = row | {("seeing", "seen"): 0.7}
    with_it, without, difference = claims.summary([row, better])["stage 1 before stage 2"]
    assert (with_it, without, difference) == ("60.0 % ± 14.1", "50.0 % ± 0.0", "+10.0 ± 14.1")
