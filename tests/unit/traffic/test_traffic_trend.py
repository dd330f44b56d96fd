"""The trend: found where it is, held at none where the looks cannot tell, and taken to the day of a look."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.traffic_world import Yard, a_series, a_site

from pipeline.config import AlarmSettings
from pipeline.traffic import judge
from pipeline.traffic.engine import Engine
from pipeline.traffic.family import BASE, KINDS, LATTICE, NODES, PAD, STEP, family
from pipeline.traffic.likelihood import DAYS_A_YEAR, evidence
from pipeline.traffic.quiet import ErrorClass, estimate_reading, reading_of
from pipeline.traffic.stream import Stream
from pipeline.traffic.trend import LEAST_DAYS, MOST, PRIOR_SD, moved, spread, trend_of


def _lived(yard: Yard, years: float, seeds: Sequence[int]) -> list[tuple[float, float]]:
    found = []
    for seed in seeds:
        engine = Engine(1, AlarmSettings(), None, yard.dwell_days)
        for look in evidence(a_series(yard, years, seed)):
            engine.step(reading_of(look.likelihood[None, :], look.day))
        found.append(trend_of(engine.window))
    return found


@pytest.mark.parametrize("season", [0.0, 0.5])
def test_many_years_tell_a_trend_and_its_doubt(season: float):
    yard = Yard(size=12.0, zeros=0.1, looks_a_year=100.0, bounds=0.0, dwell_days=3.0, season=season)
    for truth in (-0.08, 0.0, 0.08):
        found = np.array(_lived(replace(yard, drift=float(np.expm1(truth))), 6.0, range(3)))
        assert found[:, 0].mean() == pytest.approx(truth, abs=0.03), found
        assert (np.abs(found[:, 0] - truth) < 3.0 * found[:, 1]).all(), found
        assert (found[:, 1] < 0.4 * PRIOR_SD).all(), found


def test_a_short_record_tells_none_and_few_looks_little():
    engine = Engine(1, AlarmSettings(), None, 5.0)
    assert trend_of(engine.window) == (0.0, PRIOR_SD)
    steep = Yard(drift=0.6, looks_a_year=100.0, bounds=0.0)
    assert _lived(steep, LEAST_DAYS / DAYS_A_YEAR, [1]) == [(0.0, PRIOR_SD)]
    few, doubt = np.array(_lived(Yard(looks_a_year=12.0), 3.0, range(6))).T
    assert doubt.min() > 0.6 * PRIOR_SD and np.sqrt((few**2).mean()) < 0.8 * doubt.mean(), (few, doubt)
    ((most, _),) = _lived(steep, 5.0, [1])
    assert most == MOST


def test_looks_of_an_open_episode_are_no_trend():
    engine = Engine(1, AlarmSettings(), None, 5.0)
    rng = np.random.default_rng(2)
    days = 16_000.0 + np.arange(0.0, 1500.0, 6.0)
    for day in days:
        seen = rng.poisson(6.0 if day < days[-30] else 60.0, 1)
        engine.step(estimate_reading(seen, ErrorClass(2.0, 0), float(day)))
    without, _ = trend_of(engine.window, until=float(days[-30]))
    assert abs(without) < 0.03
    assert trend_of(engine.window)[0] > 0.05


def test_a_table_is_moved_along_the_lattice():
    rng = np.random.default_rng(1)
    table = rng.uniform(0.01, 1.0, (3, NODES)).astype(np.float32)
    out = moved(table, np.array([0.0, STEP, -STEP / 2.0])).reshape(3, LATTICE, KINDS)
    grid = table.reshape(3, LATTICE, KINDS)
    assert out[0] == pytest.approx(grid[0], rel=1e-5)
    assert out[1, :-1] == pytest.approx(grid[1, 1:], rel=1e-5)
    assert out[2, 1:] == pytest.approx(np.sqrt(grid[2, 1:] * grid[2, :-1]), rel=1e-5)


@pytest.mark.parametrize("log_factor", [0.0, 0.1, -0.1])
def test_moved_probabilities_have_the_moved_mean(log_factor: float):
    weights = np.zeros((1, NODES), dtype=np.float32)
    weights[0, PAD * KINDS : PAD * KINDS + BASE] = 1.0 / BASE
    out = spread(weights, np.array([log_factor]))
    assert out.sum() == pytest.approx(1.0, rel=1e-5)
    assert out[0] @ family().mean == pytest.approx((weights[0] @ family().mean) * np.exp(log_factor), rel=1e-4)


def test_the_trend_is_taken_from_the_middle_of_the_baseline_to_the_look():
    plain, rising = (Engine(1, AlarmSettings(), None, 5.0) for _ in range(2))
    rng = np.random.default_rng(3)
    days = 16_000.0 + np.arange(0.0, 900.0, 6.0)
    rising.trend[0] = 0.08
    for day in days:
        reading = estimate_reading(rng.negative_binomial(5.0, 0.4, 1), ErrorClass(2.0, 0), float(day))
        one, other = plain.step(reading), rising.step(reading)
    # Looks of 30 to 760 days ago that fade by half in 540: about a year back.
    years = float(np.log(other.expected[0] / one.expected[0])) / 0.08
    assert years == pytest.approx(0.95, abs=0.1)
    assert years == pytest.approx((days[-1] - rising.window.middle()[0]) / DAYS_A_YEAR, abs=0.01)
    assert other.weights[0] @ family().mean == pytest.approx(other.expected[0], rel=0.01)
    assert one.p_look[0] < other.p_look[0] <= one.p_look[0] * 1.5
    assert other.weights.sum() == pytest.approx(1.0, rel=1e-5)


def test_a_saved_state_holds_the_trend(alarms: AlarmSettings, calibrations: Path):
    rows = a_series(Yard(drift=0.09, looks_a_year=60.0, zeros=0.1), 4.2, 8)
    cut = len(rows) - 25
    before = judge(a_site(), rows[:cut], alarms, cache_dir=calibrations)
    whole = judge(a_site(), rows, alarms, cache_dir=calibrations)
    after = judge(a_site(), rows, alarms, state=before.state, given=before.alarms, cache_dir=calibrations)
    assert after.state == whole.state and after.baselines == whole.baselines
    stream = Stream("yard", alarms, (), calibrations)
    stream.feed(evidence(rows))
    assert stream.engine.trend[0] > 0.02, "there is a trend to be held"
