"""The window's running sums, its season and its memory."""

import numpy as np
import pytest

from pipeline.config import AlarmSettings
from pipeline.traffic.engine import Engine
from pipeline.traffic.family import BASE, KINDS, NODES, PHASES, SEASONS, family, season_shifts, steady_place
from pipeline.traffic.quiet import ErrorClass, Nodes, estimate_reading, quiet_looks
from pipeline.traffic.window import Window

DAYS = 16_000.0


def _engine(size: int = 3, **changes: object) -> Engine:
    return Engine(size, AlarmSettings(**changes), None, 5.0)


def _feed(engine: Engine, days: np.ndarray, seed: int = 1, season: int = 0, node: int = 15 * KINDS + 4) -> None:
    rng = np.random.default_rng(seed)
    nodes = Nodes(np.full(engine.size, node), season)
    for reading in quiet_looks(days, [ErrorClass(2.0, 0)] * len(days), nodes, 4.0, rng):
        engine.step(reading)


def test_running_sums_are_those_of_a_window_summed_afresh():
    engine = _engine()
    _feed(engine, DAYS + np.arange(0, 1400, 6.0))
    kept, count = engine.window.total.copy(), engine.window.count.copy()
    engine.window.rebuild(np.arange(3))
    assert np.allclose(kept, engine.window.total, rtol=0, atol=1e-2)
    assert np.array_equal(count, engine.window.count)


def test_the_guard_and_the_reach_hold():
    engine = _engine(baseline_days=365, guard_days=30)
    days = DAYS + np.arange(0, 2500, 5.0)
    _feed(engine, days)
    window, last = engine.window, days[-1]
    behind = window.days[window.expired : window.entered]
    assert min(last - day for day in behind) > 30
    assert max(last - day for day in behind) <= 365
    assert engine.window.count[0] == len(behind)
    assert len(window.days) < len(days), "looks out of reach are let go"


def test_a_season_is_found_and_none_is_not():
    days = DAYS + np.arange(0, 1200, 5.0)
    yearly = _engine(8)
    _feed(yearly, days, season=1 + 2 * PHASES + 4, node=18 * KINDS + 7)
    amplitude = [SEASONS[s][0] for s in yearly.window.season]
    assert np.mean(np.array(amplitude) > 0) >= 0.75
    flat = _engine(8)
    _feed(flat, days, node=18 * KINDS + 7)
    assert np.mean(flat.window.season > 0) <= 0.25


def test_a_milder_season_is_found_on_all_years_kept():
    yearly = _engine(8)
    _feed(yearly, DAYS + np.arange(0, 2200, 8.0), season=1 + PHASES + 4, node=18 * KINDS + 7)
    assert np.mean(yearly.window.season > 0) >= 0.75


def test_season_shifts_follow_the_year():
    lift = season_shifts(DAYS + np.arange(0, 366.0))
    assert lift.shape == (366, len(SEASONS))
    assert (lift[:, 0] == 0).all()
    assert lift[:, 9:].max() == 3 and lift[:, 9:].min() == -3


def test_nodes_and_prior_fit_together():
    fam = family()
    assert fam.pmf.shape[0] == NODES and fam.prior.shape == (BASE,)
    assert np.allclose(fam.pmf.sum(axis=1), 1.0)
    assert np.exp(fam.prior).sum() == pytest.approx(1.0)


def test_one_odd_look_does_not_rule_the_posterior():
    engine = _engine(1)
    _feed(engine, DAYS + np.arange(0, 400, 5.0))
    before = (engine.posterior(DAYS + 440) @ family().mean[3 * KINDS : 3 * KINDS + BASE])[0]
    table = estimate_reading(np.array([500]), ErrorClass(2.0, 0), DAYS + 401)
    engine.step(table)
    engine.prepare(DAYS + 440)
    after = (engine.posterior(DAYS + 440) @ family().mean[3 * KINDS : 3 * KINDS + BASE])[0]
    assert after < 2 * before


def test_a_replaced_look_leaves_one():
    window = Window(1, 28.0, 730.0, 1000.0)
    table, row = np.zeros((1, NODES), dtype=np.float32), np.zeros(1, dtype=np.int64)
    window.put(1.0, table, row, np.ones(1), np.ones(1), replace=False)
    window.put(1.1, table, row, np.full(1, 0.5), np.ones(1), replace=True)
    assert window.days == [1.1] and window.weight[0, 0] == 0.5


def test_every_shape_holds_visits_that_the_past_need_not_have_shown():
    fam = family()
    quiet = fam.pmf[(3 + 15) * KINDS + 3 * 3]  # about ten railcars every day, never empty
    assert 1e-4 < quiet[40:].sum() < 5e-3, "a visit of forty is rare and no wonder"
    assert quiet[73:].sum() < 0.4 * quiet[40:].sum()
    assert fam.pmf[:, 0].max() < 1.0 and fam.mean[(3 + 15) * KINDS + 3 * 3] == pytest.approx(9.6, abs=0.2)


def test_steady_traffic_is_looked_up_by_its_level():
    levels = np.array([0.0, 4.0, 16.0, 64.0, 1e4])
    means = family().steady @ np.arange(family().steady.shape[1])
    assert means[steady_place(levels)][1:4] == pytest.approx(levels[1:4], rel=0.01)
    assert steady_place(levels)[[0, 4]].tolist() == [0, len(means) - 1]


def _sum_after(counts: list[int], step: float) -> float:
    """Return the log sum after a quiet year and then these counts, `step` days apart."""
    engine = _engine(1)
    _feed(engine, DAYS + np.arange(0, 400, 5.0))
    days = DAYS + 405 + step * np.arange(len(counts))
    steps = [
        engine.step(estimate_reading(np.array([n]), ErrorClass(2.0, 0), float(day)))
        for n, day in zip(counts, days, strict=True)
    ]
    return float(steps[-1].log_sum[0])


def test_looks_at_the_same_standing_cars_count_once():
    alone, day_by_day, weekly = _sum_after([24], 7.0), _sum_after([24] * 3, 1.0), _sum_after([24] * 3, 7.0)
    assert weekly > alone + 1.5
    assert abs(day_by_day - alone) < 0.4 * (weekly - alone)


def test_one_empty_look_does_not_end_a_surge_that_had_been_growing():
    steady, broken = _sum_after([30] * 4, 7.0), _sum_after([30, 30, 0, 30], 7.0)
    assert _sum_after([30], 7.0) < broken < steady
