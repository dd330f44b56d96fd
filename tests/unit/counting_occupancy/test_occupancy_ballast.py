"""Railcars take light from the ballast alone, not from all that a coarse pixel sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter
from shapely.geometry import box
from shapely.ops import unary_union

from pipeline.counting.occupancy.ballast import ballast_ground
from pipeline.counting.occupancy.beds import BEDS_M
from pipeline.counting.occupancy.bench import Bench, Series, added
from pipeline.counting.occupancy.geometry import Yard, yard_of
from pipeline.counting.occupancy.injection import inject
from pipeline.counting.occupancy.response import Rendered
from pipeline.model import Look, Scene, Site
from pipeline.simulate.coarse import SimplePlan, render_look
from pipeline.simulate.coarse_cars import changes_by_cars, psf_of
from pipeline.simulate.coarse_world import build_world
from pipeline.simulate.kinds import BANDS
from pipeline.simulate.yard import make_tracks, place_cars

FloatArray = NDArray[np.float64]
WHEN = datetime(2021, 5, 12, 2, 20, tzinfo=UTC)
STEP = 20  # cells across a pixel of 10 m
DARK, BRIGHT = 0.12, 0.30


def a_site() -> Site:
    tracks = make_tracks("parallel", tracks=6, length_m=700.0, centre=(634000.0, 4695000.0), azimuth_deg=37.0)
    return Site("b", "b", "EPSG:32652", box(633400, 4694400, 634600, 4695600), tracks)


def seen_pixels(site: Site, band: int) -> FloatArray:
    """Return pixels (rows, columns) of 10 m that see dark track beds in bright ground, by another way."""
    grid = site.grid(10.0)
    fine = Affine(*grid.transform) @ Affine.scale(1 / STEP)
    shape = (grid.height * STEP, grid.width * STEP)
    beds = rasterize(
        [(unary_union([track.line for track in site.tracks]).buffer(BEDS_M[1]), 1)], out_shape=shape, transform=fine,
        dtype="float64",
    )  # fmt: skip
    ground = gaussian_filter(np.where(beds > 0, DARK, BRIGHT), psf_of(band, 10.0) * STEP)
    middle = STEP // 2
    return np.asarray(ground[middle::STEP, middle::STEP])


@pytest.fixture(scope="module")
def yard() -> Yard:
    site = a_site()
    made = yard_of(site, site.grid(10.0), WHEN.date())
    assert made is not None
    return made


@pytest.mark.parametrize(("name", "band"), [("red", 2), ("swir16", 4)])
def test_dark_ballast_in_bright_ground_is_found(yard: Yard, name: str, band: int) -> None:
    pixels = seen_pixels(a_site(), band).ravel()[yard.index][None]
    within = yard.ballast[1, 0] > 0.7
    assert pixels[0, within].mean() > 1.1 * DARK  # what the pixels show is far too bright
    found = ballast_ground(pixels, yard, (name,))
    np.testing.assert_allclose(found[0, within], DARK, rtol=0.12)


def test_even_ground_stays_as_it_is(yard: Yard) -> None:
    rng = np.random.default_rng(1)
    pixels = 0.2 * (1.0 + 0.05 * rng.standard_normal((1, len(yard.index))))
    found = ballast_ground(pixels, yard, ("swir16",))
    assert abs(found.mean() / pixels.mean() - 1.0) < 0.03
    assert np.corrcoef(found[0], pixels[0])[0, 1] > 0.9  # each pixel keeps its own departure


def test_roofs_and_hidden_pixels_have_no_say(yard: Yard) -> None:
    pixels = seen_pixels(a_site(), 2).ravel()[yard.index][None]
    plain = ballast_ground(pixels, yard, ("red",))
    odd, seen = pixels.copy(), np.ones(len(yard.index), dtype=np.bool_)
    edge = np.flatnonzero(yard.ballast[1, 0] < 0.3)
    odd[0, edge[::4]] = 0.9
    odd[0, ::17], seen[::17] = np.nan, False
    found = ballast_ground(odd, yard, ("red",), seen)
    good = seen & (odd[0] == pixels[0]) & (yard.ballast[1, 0] > 0.7)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0, good], plain[0, good], rtol=0.08)


def test_the_estimator_stands_railcars_on_ballast(yard: Yard) -> None:
    pixels = seen_pixels(a_site(), 4).ravel()[yard.index][None]
    size = len(yard.index)
    lost = np.full((6, size), 0.5, dtype=np.float16)
    cars = (Rendered(1, np.zeros(size, dtype=np.float16), lost, np.zeros((6, size), dtype=np.float16)),)
    bench = cast(Bench, SimpleNamespace(weights=np.eye(1), sigma=np.ones((1, size))))
    series = cast(Series, SimpleNamespace(yard=yard, bands=("swir16",)))
    within = yard.ballast[1, 0] > 0.7
    change = added(bench, series, cars, pixels)[0, 0, within]
    np.testing.assert_allclose(change, -0.5 * DARK, rtol=0.12)


def test_injected_railcars_change_as_much_light_as_those_that_stand_there() -> None:
    # The simulator draws ground in cells of 5 m and cars on it; the injection sees pixels of 10 m alone.
    site = a_site()
    world = build_world(site, 3)
    dark = np.where(world.yard, 0.6, 1.0).astype(np.float32)
    world = replace(world, base=world.base * dark, green=world.green * (1 - world.yard))
    cars = place_cars(site.tracks, 100, np.random.default_rng([7, 0, 100]))
    plan = SimplePlan(WHEN, 0)
    empty, full = (render_look(world, plan, some, np.random.default_rng(5)) for some in ((), cars))
    scene = Scene("S2A_20210512", "sim", "sentinel-2", "S2A", WHEN, 10.0, (), "R103", full.sun_elevation_deg,
                  full.sun_azimuth_deg)  # fmt: skip
    values = empty.reflectance()
    clear = np.ones(values.shape[1:], dtype=np.bool_)
    look = Look(site.name, scene, empty.grid, BANDS, values, clear, 1.0)

    filled = inject(look, site, 100, np.random.default_rng([7, 0, 100])).values
    change = changes_by_cars(cars, look.grid, (full.sun_elevation_deg, full.sun_azimuth_deg))
    here = change.lost[-1] > 0.2
    for band in (3, 4, 5):
        real, put = full.reflectance()[band] - values[band], filled[band] - values[band]
        whole = change.paint[band] - change.lost[band] * values[band]  # as if all of the pixel were ballast
        wrong = abs(float((put - real)[here].mean()))
        assert wrong < 0.35 * abs(float((whole - real)[here].mean())), BANDS[band]
