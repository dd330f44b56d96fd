"""What a look says, and what is refused."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from support.traffic_world import START, an_observation

from pipeline.errors import SeriesError
from pipeline.model import COUNT_MAX, Observation, Outcome
from pipeline.traffic.likelihood import at_least, at_most, combine, evidence, exact, interval


def test_every_form_of_count_becomes_a_likelihood_with_maximum_one():
    for vector in (exact(7), exact(7.5), interval(7, 4, 12), at_most(20), at_least(30), exact(0), exact(COUNT_MAX)):
        assert vector.shape == (COUNT_MAX + 1,)
        assert vector.max() == pytest.approx(1.0)
        assert (vector >= 0).all()
    assert exact(7).argmax() == 7 and exact(7).sum() == 1
    assert at_most(20)[:21].min() == 1.0 and at_most(20)[40] < 1e-6
    assert at_least(30)[30:].min() == 1.0 and at_least(30)[25] < 1e-6
    lopsided = interval(10, 8, 20)
    assert lopsided[20] == pytest.approx(lopsided[8], rel=1e-6), "both ends of the interval are as likely"


def test_an_interval_that_does_not_hold_its_count_is_refused():
    with pytest.raises(SeriesError, match="does not hold"):
        interval(10, 12, 20)


def test_looks_of_one_state_multiply_and_contradictions_leave_either_possible():
    sure, vague = interval(30, 28, 32), interval(26, 15, 37)
    both = combine([sure, vague])
    assert abs(int(both.argmax()) - 30) <= 1
    two_states = combine([interval(0, 0, 2), interval(70, 66, 74)])
    assert two_states[0] > 0.4 and two_states[70] > 0.4 and two_states[35] < 0.01


def test_rows_come_in_any_order_and_twice():
    rows = [an_observation(START + timedelta(days=d), d) for d in (3, 1, 2)]
    looks = evidence([*rows, rows[0]])
    assert [look.count.railcars for look in looks] == [1, 2, 3]


def test_one_identifier_with_two_contents_is_refused():
    row = an_observation(START, 3)
    other = replace(an_observation(START, 4), observation_id=row.observation_id)
    with pytest.raises(SeriesError, match=f"{row.observation_id} appears twice"):
        evidence([row, other])


def test_rows_without_a_count_say_nothing():
    row = an_observation(START, 3)
    silent = [
        replace(row, observation_id="a", outcome=Outcome.REJECTED, count=None),
        replace(row, observation_id="b", outcome=Outcome.FAILED, count=None),
        replace(row, observation_id="c", superseded_by=row.observation_id),
        replace(row, observation_id="d", flags=("RADAR_UNPROVEN",)),
    ]
    assert len(evidence([row, *silent])) == 1


def _with(**changes: object) -> Observation:
    row = an_observation(START, 3)
    assert row.count is not None
    return replace(row, count=replace(row.count, **changes))


BROKEN = {
    "negative": _with(railcars=-1.0, low=-1.0),
    "not a number": _with(railcars=math.nan),
    "infinite": _with(high=math.inf),
    "absurd": _with(railcars=1e9, high=1e9),
    "outside its interval": _with(railcars=30.0),
    "likelihood of another length": _with(likelihood=(1.0, 0.5)),
    "likelihood of nothing": _with(likelihood=(0.0,) * (COUNT_MAX + 1)),
    "likelihood not a number": _with(likelihood=(math.nan,) * (COUNT_MAX + 1)),
    "likelihood negative": _with(likelihood=(-1.0,) * (COUNT_MAX + 1)),
    "counted without a count": replace(an_observation(START, 3), count=None),
    "no zone": replace(an_observation(START, 3), observed_at=START.replace(tzinfo=None)),
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_impossible_row_is_named(what: str):
    with pytest.raises(SeriesError, match=BROKEN[what].observation_id):
        evidence([an_observation(START - timedelta(days=5), 2), BROKEN[what]])


def test_looks_of_one_day_are_joined_and_of_two_days_not():
    morning = an_observation(START, 20, 7.0)
    noon = an_observation(START + timedelta(hours=2), 26, 2.0, sensor="vhr")
    next_day = an_observation(START + timedelta(days=1), 5)
    first, second, third = evidence([morning, noon, next_day])
    assert np.array_equal(first.likelihood, first.own)
    assert int(second.likelihood.argmax()) in (25, 26)
    assert second.likelihood[30] < second.own[30]
    assert np.array_equal(third.likelihood, third.own)
