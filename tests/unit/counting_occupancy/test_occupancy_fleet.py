"""Scale and zero of an occupancy count: a balanced fleet, the sun's own shadows, and the number that is stated."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from shapely.geometry import box

from pipeline.counting.occupancy.calibrate import Noise, calibrate, median_number, state
from pipeline.counting.occupancy.geometry import yard_of
from pipeline.counting.occupancy.response import PLACEMENTS, _placements, _Tracks, rendered_cars
from pipeline.model import Grid, Site
from pipeline.simulate.coarse_cars import changes_by_cars, cover
from pipeline.simulate.kinds import KINDS
from pipeline.simulate.yard import make_tracks, place_cars

CRS = "EPSG:32652"
TRACKS = make_tracks("parallel", tracks=8, length_m=800.0, centre=(500.0, 500.0), azimuth_deg=90.0)
GRID = Grid(CRS, (10.0, 0.0, 0.0, 0.0, -10.0, 1000.0), 100, 100)


def test_cars_stood_into_the_past_are_a_mixed_fleet() -> None:
    placed = _placements("a yard of this test", _Tracks(TRACKS))
    for level, number in PLACEMENTS.items():
        mine = [cars for cars in placed if len(cars) == level]
        if not mine:
            assert level > 200  # only the largest numbers may be more than the tracks hold
            continue
        assert len(mine) == number
        kinds = [car.railcar.kind for cars in mine for car in cars]
        for kind, model in KINDS.items():
            # A draw of a single seed lies off by 0.15 at 10 cars.
            assert kinds.count(kind) / len(kinds) == pytest.approx(model.share, abs=0.08)


def test_shadows_are_those_of_the_sun_within_4_percent() -> None:
    site = Site("t", "t", CRS, box(0, 0, 1000, 1000), TRACKS)
    yard = yard_of(site, GRID, date(2024, 1, 1))
    assert yard is not None
    number = 10  # a placement of few cars, which shade no other
    placed = _placements(yard.key, _Tracks(TRACKS))[number]
    for elevation in (22.4, 23.4, 41.4, 66.4):
        mine = rendered_cars(yard, TRACKS, (elevation, 171.0))[number].lost.sum(dtype=np.float64)
        exact = changes_by_cars(placed, GRID, (elevation, 171.0)).lost.reshape(6, -1)[:, yard.index].sum()
        assert mine == pytest.approx(float(exact), rel=0.04)


@pytest.mark.parametrize("corner", [0.0, 430.0])
def test_cars_change_pixels_by_what_they_cover(corner: float) -> None:
    cars = place_cars(TRACKS, 60, np.random.default_rng(4))
    grid = Grid(CRS, (10.0, 0.0, corner, 0.0, -10.0, 1000.0 - corner), 41 if corner else 100, 100)  # off-edge or not
    seen = changes_by_cars(cars, grid, (30.0, 160.0), shift_m=(3.0, -2.0))
    drawn = cover(cars, grid, 30.0, 160.0, shift_m=(3.0, -2.0))
    middle = np.s_[4:-4, 4:-4]  # the point spread moves some over the edge
    assert seen.roof[middle].sum() == pytest.approx(float(drawn.roof[middle].sum()), rel=0.02)
    assert seen.paint[2][middle].sum() == pytest.approx(float(drawn.paint[2][middle].sum()), rel=0.02)
    assert seen.lost[1][middle].sum() == pytest.approx(
        float((drawn.roof + 0.74 * drawn.shade)[middle].sum()), rel=0.02
    )
    assert changes_by_cars((), grid, (30.0, 160.0)).lost.max() == 0.0


def test_an_unsure_look_leans_to_fewer_cars_and_a_sure_one_does_not() -> None:
    none, noise = np.zeros(0), Noise(6.0, 1.0, 0.15)
    calibration = calibrate(none, none, none, [])
    rng = np.random.default_rng(5)
    chance = 1.0 / (np.arange(151) + 1.0)
    truth = rng.choice(151, 300, p=chance / chance.sum())
    x = truth + rng.standard_normal(truth.size) * np.sqrt(noise.variance(truth))
    stated = [state(float(value), calibration, noise) for value in x]
    error = np.array([one.railcars for one in stated]) - truth
    assert np.abs(error).mean() < 0.95 * np.abs(np.maximum(x, 0.0) - truth).mean()
    assert error[truth == 0].mean() < 0.75 * np.maximum(x, 0.0)[truth == 0].mean()
    assert all(one.low <= one.railcars <= one.high for one in stated)
    unsure, sure = (state(80.0, calibration, Noise(one, 0.1, 0.01)).railcars for one in (25.0, 1.0))
    assert unsure < 74.0 and sure == pytest.approx(80.0, rel=0.06)


def test_median_of_a_likelihood_under_the_prior_of_ratios() -> None:
    single = np.zeros(601)
    single[73] = 1.0
    assert median_number(single, 0.0) == pytest.approx(73.0)
    assert median_number(np.r_[1.0, np.full(4, 1e-6), np.zeros(596)], 0.0) == 0.0
    flat = np.ones(601)
    assert median_number(flat, 0.0) == pytest.approx(np.sqrt(601), abs=8.0)  # half of the ratios up to 601
