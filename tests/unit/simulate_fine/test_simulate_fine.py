"""Fine scenes carry the truth they claim, show what was asked for, and the same seed gives the same pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shapely.geometry import Polygon

from pipeline.model import RailcarKind
from pipeline.simulate.fine import FineScene, render_fine, render_views
from pipeline.simulate.fine_conditions import Conditions
from pipeline.simulate.kinds import KINDS, draw_fleet_length
from pipeline.simulate.yard import FOULING_M, make_tracks, occupancy, place_cars, usable_intervals

CLEAR = Conditions(gsd_m=0.5, clutter=0.0, noise=0.001, bands="pan", bits=16, sun_elevation_deg=30.0)


def scene(cars: int, conditions: Conditions = CLEAR, seed: int = 4) -> FineScene:
    rng = np.random.default_rng(seed)
    tracks = make_tracks("parallel", tracks=3, length_m=220.0, centre=(500_000.0, 4_700_000.0), spacing_m=9.0)
    return render_fine(tracks, place_cars(tracks, cars, rng), conditions, rng)


def mean_inside(one: FineScene, outline: Polygon) -> float:
    x, y = outline.centroid.x, outline.centroid.y
    column, row = (int(v) for v in one.grid.to_pixel(x, y))
    return float(one.values[0, row - 1 : row + 2, column - 1 : column + 2].mean())


def test_exactly_so_many_cars_and_the_same_bytes_again():
    one, again = scene(14), scene(14)
    assert len(one.cars) == 14 == occupancy(one.cars).railcars
    assert np.array_equal(one.values, again.values)
    assert not np.array_equal(one.values, scene(14, seed=5).values)


def test_cars_do_not_overlap_and_ride_on_their_track():
    one = scene(20)
    outlines = [car.railcar.polygon for car in one.cars]
    for index, outline in enumerate(outlines):
        assert all(outline.intersection(other).area < 0.5 for other in outlines[index + 1 :])
    lines = {track.track_id: track.line for track in one.rails}
    assert all(lines[car.railcar.track_id].distance(car.railcar.polygon.centroid) < 0.3 for car in one.cars)


def test_too_many_cars_are_refused_with_a_number():
    tracks = make_tracks("parallel", tracks=1, length_m=120.0, centre=(0.0, 0.0))
    with pytest.raises(ValueError, match=r"hold only \d+ of 50 railcars"):
        place_cars(tracks, 50, np.random.default_rng(1))


@pytest.mark.parametrize(("azimuth", "sign"), [(0.0, -1.0), (180.0, 1.0)])
def test_shadows_fall_away_from_the_sun(azimuth: float, sign: float):
    """With the sun in the north the ground south of a car is darker than that north of it."""
    cars = 6
    lit = replace(CLEAR, sun_azimuth_deg=azimuth, sun_elevation_deg=25.0)
    one = scene(cars, lit)
    tall = [car for car in one.cars if car.height_m > 3]
    assert tall
    darker = []
    for car in tall:
        x, y = car.centre
        values = []
        for side in (sign, -sign):
            column, row = (int(v) for v in one.grid.to_pixel(x, y + side * 3.2))
            values.append(float(one.values[0, row, column - 2 : column + 3].mean()))
        darker.append(values[0] < values[1])
    assert np.mean(darker) > 0.8


def test_snow_brightens_the_ground_and_overcast_casts_no_shadow():
    bare, snowed = scene(0), scene(0, replace(CLEAR, snow=0.95))
    assert np.median(snowed.values) > 1.8 * np.median(bare.values)


def test_weak_contrast_brings_cars_nearer_to_the_ground():
    def spread(contrast: float) -> float:
        one = scene(12, replace(CLEAR, contrast=contrast))
        return float(np.std([mean_inside(one, car.railcar.polygon) for car in one.cars]))

    assert spread(0.3) < 0.75 * spread(1.0)


@pytest.mark.parametrize(
    ("bands", "bits", "count", "dtype"), [("pan", 8, 1, "uint8"), ("rgb", 16, 3, "uint16"), ("rgbn", 8, 4, "uint8")]
)
def test_bands_and_depth(bands: str, bits: int, count: int, dtype: str):
    one = scene(3, replace(CLEAR, bands=bands, bits=bits))  # type: ignore[arg-type]
    assert one.values.shape[0] == count == len(one.bands)
    assert one.values.dtype == dtype


def test_drawn_tracks_lie_off_the_rails_as_far_as_asked():
    one = scene(2, replace(CLEAR, misalignment_m=1.0))
    for drawn, real in zip(one.site.tracks, one.rails, strict=True):
        middle = drawn.line.interpolate(0.5, normalized=True)
        assert 0.3 < real.line.distance(middle) <= 1.01


def test_no_car_stands_where_it_would_foul_another_track():
    tracks = make_tracks("ladder", tracks=4, length_m=500.0, centre=(0.0, 0.0))
    for name, spans in usable_intervals(tracks).items():
        own = next(track for track in tracks if track.track_id == name)
        others = [track for track in tracks if track is not own]
        for a, b in spans:
            for station in np.arange(a, b, 5.0):
                point = own.line.interpolate(float(station))
                assert all(other.line.distance(point) > FOULING_M - 0.3 for other in others)


def test_lengths_of_a_fleet_and_of_the_kinds():
    rng = np.random.default_rng(8)
    lengths = np.array([draw_fleet_length(rng) for _ in range(4000)])
    assert abs(lengths.mean() - (0.93 * 14.05 + 0.07 * 16.9)) < 0.1
    assert abs(sum(model.share for model in KINDS.values()) - 1) < 1e-9
    assert RailcarKind.UNKNOWN not in KINDS


def test_decoy_lines_have_no_rails_and_no_cars():
    one = scene(6, replace(CLEAR, decoys=2, clutter=1.0))
    names = {track.track_id for track in one.rails}
    decoys = [track for track in one.site.tracks if track.track_id not in names]
    assert len(decoys) == 2
    assert not any(car.railcar.track_id.startswith("decoy") for car in one.cars)


def test_a_bare_picture_without_shadows_holds_nothing_but_cars():
    """Away from the cars nothing but texture: no bed is darker or brighter than the country."""
    plain = replace(CLEAR, bare=True, rail_strength=0.0, shade=0.0)
    empty, full = scene(0, plain), scene(14, plain)
    assert empty.values.std() / empty.values.mean() < 0.35
    line = full.rails[1].line
    on, beside = (
        np.median([mean_inside(empty, where.interpolate(d).buffer(1)) for d in range(10, 200, 5)])
        for where in (line, line.offset_curve(4.5))
    )
    assert on == pytest.approx(beside, rel=0.4)
    # With no shadow the ground on both sides of a car is alike.
    sides = []
    for car in full.cars:
        x, y = car.centre
        pair = [
            full.values[0, int(row), int(column)] for column, row in (full.grid.to_pixel(x, y + d) for d in (-4, 4))
        ]
        sides.append(float(pair[0]) / float(pair[1]))
    assert np.median(sides) == pytest.approx(1.0, abs=0.25)


def test_soft_shadows_blur_their_edges_only():
    hard, soft = (scene(10, replace(CLEAR, penumbra_m=width)) for width in (0.0, 1.0))
    assert not np.array_equal(hard.values, soft.values)
    assert soft.values.mean() == pytest.approx(hard.values.mean(), rel=0.02)


def test_two_sensors_see_the_same_yard():
    rng = np.random.default_rng(6)
    tracks = make_tracks("parallel", tracks=3, length_m=220.0, centre=(500_000.0, 4_700_000.0), spacing_m=9.0)
    cars = place_cars(tracks, 8, rng)
    views = (replace(CLEAR, bits=16), replace(CLEAR, gsd_m=1.4, bands="rgb", snow=1.0, misalignment_m=0.5))
    fine, coarse = render_views(tracks, cars, views, rng)
    assert fine.cars == coarse.cars
    assert coarse.grid.gsd_m == pytest.approx(1.4, abs=0.15) == coarse.conditions.gsd_m
    assert coarse.conditions.snow == 0.0, "light and ground are the first view's"
    assert coarse.bands == ("red", "green", "blue")
    # A car's middle lies in the same place of both.
    for car in fine.cars:
        if car.height_m > 3:
            one, other = (
                mean_inside(view, car.railcar.polygon) / np.median(view.values[0]) for view in (fine, coarse)
            )
            assert one == pytest.approx(other, rel=0.5)
