"""Pictures: one stretch for all looks of a story, a difference that shows what changed, marks where things are."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from matplotlib.image import imread
from support.report_world import HOSTILE, a_look, a_report, a_site, cars_on

from pipeline.model import Grid, Look, Scene, Site
from pipeline.report.drawing import draw_look, draw_site_check
from pipeline.report.frames import frames_of
from pipeline.report.pictures import (
    Window,
    comparable,
    difference,
    line_points,
    nice_length_m,
    north_deg,
    render,
    render_difference,
    stretch_of,
    window_around_tracks,
)
from pipeline.simulate.coarse import SimplePlan, SimulatedLook, simulate_series
from pipeline.simulate.kinds import BANDS

AT = datetime(2023, 10, 1, 2, 20, tzinfo=UTC)
LATER = datetime(2023, 10, 6, 2, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def site():
    return a_site()


@pytest.fixture(scope="module")
def quiet(site: Site):
    return a_look(site, "quiet", AT, 10.0, 0)


def test_a_brighter_day_looks_brighter_under_the_stretch_of_the_quiet_one(site: Site, quiet: Look):
    window = window_around_tracks(site, quiet.grid)
    brighter = replace(quiet, values=quiet.values * 1.2)
    stretch = stretch_of(quiet, window)
    one, other, own = (
        imread(io.BytesIO(p.content), format="png")[..., :3].mean()
        for p in (render(quiet, window, stretch), render(brighter, window, stretch), render(brighter, window))
    )
    assert other > one + 0.03
    assert abs(own - one) < 0.01


def test_masked_pixels_are_veiled_and_missing_ones_grey(site: Site, quiet: Look):
    clear = quiet.clear.copy()
    clear[:, :40] = False
    values = quiet.values.copy()
    values[:, :, -60:] = np.nan
    window = Window(0, quiet.grid.height, 0, quiet.grid.width)
    picture = imread(io.BytesIO(render(replace(quiet, clear=clear, values=values), window).content), format="png")
    assert np.allclose(picture[:, -1, :3], 0.5, atol=0.01)
    veiled = picture[:, :40, :3].mean(axis=(0, 1))
    assert veiled[2] > veiled[1] + 0.02  # violet


def test_the_difference_is_dark_where_cars_came_and_blind_to_haze(site: Site, quiet: Look):
    full = a_look(site, "full", LATER, 10.0, 120)
    hazy = replace(full, values=(full.values * 0.85 + 0.03).astype(np.float32))
    window = window_around_tracks(site, quiet.grid)
    assert comparable(quiet, full)
    change, _ = difference(quiet, hazy, window)
    occupied = np.zeros(quiet.grid.shape, dtype=bool)
    for car in cars_on(site, 120):
        col, row = quiet.grid.to_pixel(car.polygon.centroid.x, car.polygon.centroid.y)
        occupied[int(row), int(col)] = True
    occupied = occupied[window.slices]
    assert np.nanmedian(change[occupied]) < -0.01
    assert abs(np.nanmedian(change[~occupied])) < 0.002


def test_the_difference_is_aligned_before_it_is_taken(site: Site):
    plans = [SimplePlan(AT, 5), SimplePlan(LATER, 70, shift_px=(0.6, -0.8))]
    before, after = (_simulated(site, look) for look in simulate_series(site, plans, seed=5))
    window = window_around_tracks(site, before.grid)
    change, shift = difference(before, after, window)
    assert shift == pytest.approx((0.6, -0.8), abs=0.05)
    unaligned = (after.values[:3] - before.values[:3]).mean(axis=0)[window.slices]
    assert np.nanstd(change) < 0.7 * unaligned.std()


def _simulated(site: Site, simulated: SimulatedLook) -> Look:
    at = simulated.plan.observed_at
    scene = Scene(f"S2A_{at:%Y%m%d}_R103", "simulated", "sentinel-2", "S2A", at, 10.0, ())
    clear = np.ones(simulated.grid.shape, dtype=bool)
    return Look(site.name, scene, simulated.grid, BANDS, simulated.reflectance(), clear, 1.0)


def test_looks_without_any_structure_are_not_aligned(site: Site, quiet: Look):
    flat = replace(quiet, values=np.full_like(quiet.values, 0.2))
    assert difference(flat, flat, window_around_tracks(site, quiet.grid))[1] is None


def test_a_difference_without_shared_clear_pixels_is_unknown_not_zero(site: Site, quiet: Look):
    blind = replace(quiet, clear=np.zeros_like(quiet.clear))
    window = window_around_tracks(site, quiet.grid)
    change, shift = difference(quiet, blind, window)
    assert shift is None
    assert np.isnan(change).all()
    picture, span = render_difference(change, 10.0)
    assert span == 1.0
    assert np.allclose(imread(io.BytesIO(picture.content), format="png")[..., :3], 0.5, atol=0.01)


def test_looks_of_different_grids_are_not_compared(site: Site, quiet: Look):
    assert not comparable(quiet, a_look(site, "fine", LATER, 5.0, 0))


@pytest.mark.parametrize(("extent", "bar"), [(1150.0, 200.0), (2000.0, 500.0), (80.0, 20.0), (4.0, 1.0)])
def test_the_scale_bar_is_round_and_at_most_a_quarter(extent: float, bar: float):
    assert nice_length_m(extent) == bar


def test_north_is_where_the_grid_says():
    assert north_deg(Grid("EPSG:32652", (10, 0, 0, 0, -10, 0), 5, 5)) == 0.0
    turned = Grid("EPSG:32652", (0, 10, 0, 10, 0, 0), 5, 5)  # columns run north
    assert north_deg(turned) == pytest.approx(90.0)


def test_points_are_in_pixels_of_the_window():
    grid = Grid("EPSG:32652", (10, 0, 500, 0, -10, 900), 50, 50)
    assert line_points([(600, 800), (650, 795)], grid, Window(5, 20, 5, 20)) == "5.00,5.00 10.00,5.50"


def test_large_pictures_are_reduced_by_a_whole_factor(site: Site):
    look = a_look(site, "fine", AT, 4.0, 30)
    window = Window(0, 100, 0, 301)
    picture = render(look, window, max_pixels=8000)
    assert (picture.width, picture.height) == (150, 50)
    assert picture.mime == "image/jpeg"


def test_the_difference_falls_back_to_a_look_of_the_quiet_ones_sensor():
    data = a_report(years=0.5)
    frames = frames_of(data.surges[0], data.site, data.observations, data.look_for)
    assert [f.title for f in frames] == ["Last quiet look", "First alarm", "Peak", "Difference"]
    assert all(f.uri.startswith("data:image/") for f in frames)
    assert frames[2].fine and sum(c.number for c in frames[2].cars) == 73
    assert frames[0].scale_label == "200 m"
    assert frames[0].link.startswith("https://example.org/items/")
    assert dict(frames[0].facts)["Sun"] == "41° high, from 164°"


def test_a_missing_chip_is_said_not_left_out():
    data = a_report(years=0.5)
    frames = frames_of(data.surges[0], data.site, data.observations, lambda _scene_id: None)
    assert len(frames) == 4
    assert all(not f.uri and f.note for f in frames)
    assert frames[0].item_ids


def test_the_site_check_is_a_png_and_survives_any_name(site: Site, quiet: Look):
    plain = draw_site_check(quiet, site)
    assert plain.startswith(b"\x89PNG")
    assert draw_site_check(quiet, site) == plain
    odd = replace(
        site, title="두만강 $\\frac{" + HOSTILE, tracks=tuple(replace(t, name=f"$x^{HOSTILE}") for t in site.tracks)
    )
    scene = replace(quiet.scene, scene_id="$" + HOSTILE)
    assert draw_site_check(replace(quiet, scene=scene), odd).startswith(b"\x89PNG")


def test_tracks_of_another_time_are_not_drawn(site: Site, quiet: Look):
    early = replace(quiet, scene=replace(quiet.scene, observed_at=datetime(2021, 10, 1, 2, 20, tzinfo=UTC)))
    without = replace(site, tracks=site.tracks[:9])
    assert draw_site_check(early, site) == draw_site_check(early, without)


def test_a_drawn_look_shows_its_railcars():
    data = a_report(years=0.5)
    peak = max((o for o in data.observations if o.count), key=lambda o: o.count.railcars)
    look = data.look_for(peak.scene_id)
    assert look is not None and peak.count is not None
    bare = replace(peak, count=replace(peak.count, railcar_list=()))
    assert draw_look(look, data.site, peak, "Peak") != draw_look(look, data.site, bare, "Peak")
