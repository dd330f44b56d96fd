"""Thresholds: kept by their inputs, honest about what was checked."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.traffic_world import START, Yard, a_series, an_observation

from pipeline.config import AlarmSettings
from pipeline.traffic import stream
from pipeline.traffic.band import pit_share, predict, quiet_pmf
from pipeline.traffic.calibrate import AIM, Calibration, calibrate, from_json, to_json
from pipeline.traffic.dwell import GRID, dwell_posterior, middle
from pipeline.traffic.engine import BAND_TAIL
from pipeline.traffic.family import KINDS, NODES, family
from pipeline.traffic.likelihood import Evidence, evidence
from pipeline.traffic.quiet import ErrorClass, Nodes, error_class, look_vectors, tiled

DAYS = 16_000.0 + np.arange(0.0, 400.0, 6.0)
CLASSES = [ErrorClass(2.0, 0), ErrorClass(4.0, 20)] * (len(DAYS) // 2) + [ErrorClass(2.0, 0)] * (len(DAYS) % 2)
YARDS = Nodes(np.full(60, 15 * KINDS + 4), 0)
SETTINGS = AlarmSettings(calibration_years=120)


def _made(cache: Path | None = None, **changes: object) -> Calibration:
    settings = SETTINGS.model_copy(update=changes)
    return calibrate(DAYS, CLASSES, YARDS, np.full(60, 5.0), 5.0, settings, cache)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Calibration, Path]:
    cache = tmp_path_factory.mktemp("made")
    return _made(cache), cache


def test_tiers_are_in_order_and_rates_fall_with_the_score(made: tuple[Calibration, Path]):
    found, _ = made
    assert found.watch <= found.alert <= found.high
    rates = [found.rate(score) for score in (found.watch, found.alert, found.high, found.high + 50)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(1 / (AIM * found.years)), "never below what was checked"
    assert found.rate(found.alert) == pytest.approx(SETTINGS.budget_per_year, rel=0.1)
    assert found.rate(found.watch) == pytest.approx(SETTINGS.watch_per_year, rel=0.03)
    every = [found.rate(score) for score in np.linspace(found.watch - 1.0, found.high + 1.0, 500)]
    assert every == sorted(every, reverse=True)
    share = (
        np.array([found.rate(level) for level in found.levels]) * found.years / np.arange(1, len(found.levels) + 1)
    )
    assert (share > 0.999 / AIM).all(), "stated higher than simulated"


def test_a_calibration_is_kept_and_a_damaged_one_made_again(made: tuple[Calibration, Path]):
    found, cache = made
    (kept,) = cache.glob("calibration-*.json")
    text = kept.read_text()
    assert to_json(_made(cache)) == to_json(found)
    kept.write_text(text.replace('"alert": ', '"alert": 99'))
    assert _made(cache).alert != found.alert, "it is read, not made again"
    kept.write_text(text[: len(text) // 2])
    assert to_json(_made(cache)) == to_json(found)
    assert kept.read_text() == text
    assert not list(cache.glob("*.part"))


def test_json_loses_nothing(made: tuple[Calibration, Path]):
    found, _ = made
    there = to_json(from_json(json.loads(json.dumps(to_json(found), allow_nan=False))))
    assert there == to_json(found)


def test_other_inputs_are_another_calibration(made: tuple[Calibration, Path], tmp_path: Path):
    found, _ = made
    other = calibrate(DAYS[::2], CLASSES[::2], YARDS, np.full(60, 5.0), 5.0, SETTINGS, tmp_path)
    assert other.digest != found.digest
    assert _made(calibration_seed=1).digest != found.digest


def test_look_dates_are_laid_end_to_end():
    days, index = tiled(DAYS, 5.0, 0.0)
    assert (np.diff(days) > 0).all() and days[0] == 0.0
    assert 4.9 * 365 < days[-1] < 5.0 * 365.25
    assert index.max() == len(DAYS) - 1
    lone, _ = tiled(DAYS[:1], 1.0, 0.0)
    assert len(lone) == pytest.approx(52, abs=1), "one look is taken as one a week"


@pytest.mark.parametrize(("sd", "limit"), [(0.0, 0), (2.0, 0), (7.0, 0), (20.0, 0), (1.0, 20)])
def test_a_look_is_put_into_its_own_error_class(sd: float, limit: int):
    (look,) = evidence([an_observation(START, 12, sd, limit=limit)])
    assert error_class(look) == ErrorClass(sd, limit)
    vector = look_vectors(np.array([12.0]), error_class(look))[0]
    assert np.abs(vector - look.likelihood).max() < 0.05


def test_the_dwell_is_seen_in_neighbouring_looks():
    quiet = np.zeros(NODES, dtype=np.float32)
    quiet[(3 + 15) * KINDS + 4] = 1.0
    pmf = quiet_pmf(quiet)
    found = []
    for dwell in (2.0, 20.0):
        yard = Yard(dwell_days=dwell, mean=10.0, size=2.5, zeros=0.25, looks_a_year=100, bounds=0.0, sd=(1.0,))
        found.append(middle(dwell_posterior(evidence(a_series(yard, 2.0, 4)), pmf, 4.0)))
    assert found[0] < 4.0
    assert found[1] > 12.0
    alone = dwell_posterior(evidence([an_observation(START, 3)]), pmf, 4.0)
    assert GRID[int(alone.argmax())] == 4.0 and alone.sum() == pytest.approx(1.0)


def test_the_band_leaves_its_share_of_what_a_look_states_outside():
    weights = np.zeros(NODES, dtype=np.float32)
    weights[(3 + 20) * KINDS + 4] = 1.0
    pmf = quiet_pmf(weights)
    assert pmf.sum() == pytest.approx(1.0)
    rng = np.random.default_rng(3)
    truth = rng.choice(len(pmf), 40_000, p=pmf / pmf.sum())
    for sd in (0.0, 4.0):
        kind = ErrorClass(sd, 0)
        stated = np.maximum(np.rint(truth + rng.standard_normal(len(truth)) * kind.sd_at(truth)), 0)
        found = predict(pmf, kind)
        assert np.mean((stated >= found.low) & (stated <= found.high)) == pytest.approx(1 - BAND_TAIL, abs=0.01)
    assert found.low == 0.0, "an empty yard is nothing odd here"


def test_the_pit_histogram_of_the_right_prediction_is_flat():
    pmf = family().pmf[(3 + 20) * KINDS + 4]
    cdf = np.cumsum(pmf)
    draws = np.random.default_rng(1).choice(len(pmf), 20_000, p=pmf / pmf.sum())
    shares = sum(pit_share(cdf, int(n), int(n)) for n in draws) / len(draws)
    assert shares == pytest.approx(np.full(10, 0.1), abs=0.01)
    assert pit_share(cdf, 0, 3).sum() == pytest.approx(1.0)


def test_a_stay_is_told_by_the_looks_of_six_years(made: tuple[Calibration, Path], monkeypatch: pytest.MonkeyPatch):
    spans: list[float] = []

    def told(looks: list[Evidence], quiet: np.ndarray, typical_days: float) -> np.ndarray:
        spans.append(looks[-1].day - looks[0].day)
        return dwell_posterior(looks, quiet, typical_days)

    monkeypatch.setattr(stream, "dwell_posterior", told)
    monkeypatch.setattr(stream, "simulate", lambda *_: made[0])
    stream.Stream("yard", SETTINGS, ()).feed(evidence(a_series(Yard(looks_a_year=20.0), 8.5, 3)))
    assert 5.8 * 365.25 < max(spans) <= 6.0 * 365.25
