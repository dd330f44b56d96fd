"""The weekly detector: its promise holds in quiet weeks, it finds excesses, and later weeks change nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from support.store_samples import count, observation

from pipeline.errors import SeriesError
from pipeline.model import Observation, Outcome
from pipeline.traffic.weekly import WeeklySettings, fit_weekly, watch_weekly, weekly_counts

FIRST, WEEKS = 260, 312
SETTINGS = WeeklySettings(paths=400)


def quiet(seed: int, mean: float = 6.0, season: float = 0.6, phi: float = 2.0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    level = mean * np.exp(season * np.cos(2 * np.pi * np.arange(WEEKS) / 52))
    return rng.negative_binomial(level / (phi - 1), 1 / phi).astype(np.float64)


def test_the_promised_rate_holds_in_quiet_weeks() -> None:
    settings = replace(SETTINGS, false_alarms_per_week=0.02)
    alarms, weeks = 0, 0
    for seed in range(24):
        y = quiet(seed)
        looks = watch_weekly(fit_weekly(y[:FIRST], settings), y, FIRST, settings)
        alarms += sum(look.alarm for look in looks)
        weeks += len(looks)
    promised = 0.02 * weeks
    assert 0 < alarms <= promised + 2.5 * np.sqrt(promised)


def test_outbreaks_of_the_past_do_not_lift_the_baseline() -> None:
    y = quiet(1)
    spoiled = y.copy()
    spoiled[[150, 151, 200, 201, 202, 240]] += 40.0
    clean, other = fit_weekly(y[:FIRST]), fit_weekly(spoiled[:FIRST])
    week = np.arange(FIRST, FIRST + 52)
    assert np.abs(clean.log_mean(week)[0] - other.log_mean(week)[0]).max() < 0.15
    assert other.dispersion < 1.5 * clean.dispersion
    assert other.weights[[150, 201, 240]].max() < 0.01 and np.median(other.weights) > 0.9


def test_season_and_trend_are_taken_where_they_are() -> None:
    assert fit_weekly(quiet(3)[:FIRST]).harmonics >= 1
    flat = fit_weekly(quiet(3, season=0.0)[:FIRST])
    assert (flat.harmonics, flat.trend) == (0, False)


def test_weeks_are_pooled_and_a_single_spike_is_found() -> None:
    y = quiet(5, season=0.0)
    y[FIRST : FIRST + 40] = 6.0
    y[FIRST + 10] = 30.0
    y[FIRST + 20 : FIRST + 23] = 14.0  # 2.3 standard deviations, three weeks long: no single week is odd enough
    y[FIRST + 30] = 14.0
    looks = watch_weekly(fit_weekly(y[:FIRST]), y, FIRST, SETTINGS)
    assert looks[10].alarm and not looks[9].alarm
    assert not looks[20].alarm and looks[22].alarm
    assert not looks[30].alarm
    assert looks[22].log_odds > looks[21].log_odds > looks[20].log_odds
    assert all(look.rate > 0 for look in looks)  # never below what was simulated


def test_later_weeks_change_nothing_and_unseen_weeks_say_nothing() -> None:
    y = quiet(7)
    y[FIRST + 5] = np.nan
    y[FIRST + 6] = 60.0
    baseline = fit_weekly(y[:FIRST])
    whole = watch_weekly(baseline, y, FIRST, SETTINGS)
    part = watch_weekly(baseline, y[: FIRST + 8], FIRST, SETTINGS)
    assert [repr(look) for look in part] == [repr(look) for look in whole[:8]]
    assert not whole[5].alarm and whole[6].alarm


@pytest.mark.parametrize("bad", [-1.0, np.inf, 1e12])
def test_impossible_counts_are_named(bad: float) -> None:
    y = quiet(9)
    y[17] = bad
    with pytest.raises(SeriesError, match="week 17"):
        fit_weekly(y)
    with pytest.raises(SeriesError, match="cannot judge yet"):
        fit_weekly(y[:10])


def test_all_zero_and_constant_series_run() -> None:
    for value in (0.0, 5.0, 100_000.0):
        y = np.full(120, value)
        looks = watch_weekly(fit_weekly(y[:100]), y, 100, replace(SETTINGS, paths=50))
        assert not any(look.alarm for look in looks) and np.isfinite([look.log_odds for look in looks]).all()
        y[-1] = value + 50_000.0
        assert watch_weekly(fit_weekly(y[:100]), y, 100, SETTINGS)[-1].alarm


def test_looks_become_weeks() -> None:
    def look(day: datetime, railcars: float) -> Observation:
        seen = replace(count(), railcars=railcars, flags=())
        row = observation(0, observation_id=str(day), flags=())
        return replace(row, observed_at=day, count=seen, outcome=Outcome.COUNTED)

    monday = datetime(2023, 10, 2, 2, tzinfo=UTC)
    rows = [look(monday, 10), look(monday + timedelta(days=6), 20), look(monday + timedelta(days=15), 7)]
    first, weeks = weekly_counts(rows)
    assert first == date(2023, 10, 2)
    np.testing.assert_array_equal(weeks, [15.0, np.nan, 7.0])
    with pytest.raises(SeriesError, match="no look counts"):
        weekly_counts([])
