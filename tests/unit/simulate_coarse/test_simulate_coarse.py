"""Coarse looks carry the truth they claim, and the same seed gives the same pixels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from shapely.geometry import box

from pipeline.model import Grid, Site
from pipeline.simulate.coarse import SimplePlan, simulate_series
from pipeline.simulate.coarse_cars import add_cars, cover, shadow_vector
from pipeline.simulate.coarse_world import build_world
from pipeline.simulate.kinds import BANDS
from pipeline.simulate.yard import make_tracks, place_cars

NOON = datetime(2023, 1, 10, 2, 20, tzinfo=UTC)


def small_site() -> Site:
    tracks = make_tracks("parallel", tracks=4, length_m=420.0, centre=(634000.0, 4695000.0), azimuth_deg=100.0)
    return Site("small", "Small", "EPSG:32652", box(633700, 4694760, 634300, 4695240), tracks)


@pytest.fixture(scope="module")
def site() -> Site:
    return small_site()


def render(site: Site, *plans: SimplePlan, seed: int = 3):
    return list(simulate_series(site, plans, seed))


def test_truth_and_shapes(site: Site):
    (look,) = render(site, SimplePlan(NOON, 17))
    assert look.railcars == 17 == len(look.cars)
    assert set(look.numbers) == set(BANDS)
    assert all(band.shape == site.grid(10).shape and band.dtype == np.uint16 for band in look.numbers.values())
    assert look.classes.shape == site.grid(10).shape
    assert 20 < look.sun_elevation_deg < 30


def test_equal_seed_equal_pixels_and_longer_plan_changes_nothing_before(site: Site):
    plans = [SimplePlan(NOON + timedelta(days=5 * n), n) for n in range(3)]
    short, long = render(site, *plans[:2]), render(site, *plans)
    for one, other in zip(short, long, strict=False):
        assert all(np.array_equal(one.numbers[name], other.numbers[name]) for name in BANDS)
    other_seed = render(site, plans[0], seed=4)[0]
    assert not np.array_equal(other_seed.numbers["red"], short[0].numbers["red"])


def test_offset_is_added_to_numbers_only(site: Site):
    plain, raised = render(site, SimplePlan(NOON, 0))[0], render(site, SimplePlan(NOON, 0, offset_dn=1000))[0]
    # Dark water may be cut at the smallest number where no offset lifts it.
    assert np.median(raised.numbers["nir"].astype(int) - plain.numbers["nir"]) == 1000
    assert np.abs(raised.reflectance() - plain.reflectance()).max() < 0.01


def test_shift_moves_content_to_larger_columns(site: Site):
    still = render(site, SimplePlan(NOON, 0))[0].reflectance()[2]
    moved = render(site, SimplePlan(NOON, 0, shift_px=(2.0, 0.0)))[0].reflectance()[2]
    inner = (slice(5, -5), slice(8, -8))
    same = np.abs(moved[inner] - np.roll(still, 2, axis=1)[inner]).mean()
    wrong = np.abs(moved[inner] - np.roll(still, -2, axis=1)[inner]).mean()
    assert same < 0.4 * wrong


def test_skies_show(site: Site):
    looks = {sky: render(site, SimplePlan(NOON, 0, sky))[0] for sky in ("clear", "cloud", "snow", "haze")}
    assert np.isin(looks["cloud"].classes, (8, 9)).mean() > 0.8
    assert np.isin(looks["clear"].classes, (8, 9)).mean() < 0.05
    green, swir = looks["snow"].reflectance()[[1, 4]]
    assert np.median((green - swir) / (green + swir)) > 0.2
    assert looks["haze"].reflectance()[0].mean() > looks["clear"].reflectance()[0].mean() + 0.01


def test_cover_conserves_area_and_shadow_falls_away_from_the_sun(site: Site):
    cars = place_cars(site.tracks, 9, np.random.default_rng(1))
    grid = site.grid(10.0)
    drawn = cover(cars, grid, 30.0, 180.0, psf_sigma_px=0.5)
    area = sum(car.railcar.polygon.area for car in cars)
    assert drawn.roof.sum() * 100 == pytest.approx(area, rel=0.03)
    assert shadow_vector(3.0, 45.0, 180.0) == pytest.approx((0.0, 3.0), abs=1e-9)
    one = cover(cars[:1], Grid(grid.crs, grid.transform, grid.width, grid.height), 20.0, 180.0)
    rows = np.arange(grid.height)[:, None]
    assert (one.shade * rows).sum() / one.shade.sum() < (one.roof * rows).sum() / one.roof.sum()


def test_no_cars_leave_the_ground(site: Site):
    ground = np.full((2, *site.grid(10.0).shape), 0.2, np.float32)
    assert np.array_equal(add_cars(ground, cover((), site.grid(10.0), 30.0, 180.0), (0, 3)), ground)


def test_world_holds_water_and_ballast(site: Site):
    world = build_world(site, 5)
    assert world.yard.any() and (world.water > 0.9).any()
    assert not (world.yard & (world.water > 0.5)).any()
