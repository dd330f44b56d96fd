"""Simplified worlds hold the truth they claim and differ; pictures can be worked on as publishers do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shapely.geometry import Point

from pipeline.simulate.fine import FineScene, render_fine
from pipeline.simulate.fine_conditions import WORLDS, Conditions, draw_conditions, other_conditions
from pipeline.simulate.fine_worlds import World, draw_world, world_cars
from pipeline.simulate.yard import make_tracks, place_cars

TRACKS = make_tracks("parallel", tracks=3, length_m=220.0, centre=(500_000.0, 4_700_000.0), spacing_m=9.0)
FLAT = replace(
    draw_world(np.random.default_rng(1)), country=0.2, yard=0.2, bed=0.2, rail=0.2, tint=(1.0, 1.0, 1.0), grain=(),
    panels={}, plain=1.0, paints=((0.6,) * 6,), paint_spread=0.0, typical=0.0, thinned=0.0,
)  # fmt: skip
CLEAR = Conditions(gsd_m=0.5, clutter=0.0, noise=0.0, bands="pan", bits=16, shade=0.0, haze=0.0)


def scene(world: World, conditions: Conditions = CLEAR, cars: int = 14) -> FineScene:
    rng = np.random.default_rng(4)
    placed = world_cars(place_cars(TRACKS, cars, rng), world, rng)
    return render_fine(TRACKS, placed, replace(conditions, world=world), rng)


def test_a_world_of_one_ground_and_one_paint_shows_its_cars_and_nothing_else():
    one = scene(FLAT)
    assert len(one.cars) == 14
    inside = np.zeros(one.values.shape[1:], dtype=bool)
    rows, columns = np.indices(inside.shape)
    x, y = one.grid.to_xy(columns + 0.5, rows + 0.5)
    near = inside.copy()
    for car in one.cars:
        body = car.railcar.polygon
        for index in np.ndindex(*inside.shape):
            if abs(x[index] - body.centroid.x) + abs(y[index] - body.centroid.y) < 30:
                spot = Point(x[index], y[index])
                inside[index] |= body.buffer(-0.9).contains(spot)
                near[index] |= body.buffer(3.0).contains(spot)
    picture = one.values[0].astype(float)
    assert picture[inside].min() > 2 * np.median(picture[~near])
    assert picture[~near].std() < 0.02 * picture[~near].mean(), "the ground has no texture"


def test_some_cars_are_taken_out_and_all_are_painted_by_the_world():
    rng = np.random.default_rng(2)
    placed = place_cars(TRACKS, 30, rng)
    left = world_cars(placed, replace(FLAT, thinned=0.5, height_m=3.3), rng)
    assert 5 < len(left) < 25
    assert {tuple(car.colour) for car in left} == {(0.6,) * 6}
    assert {car.height_m for car in left if car.height_m >= 2} == {3.3}


def test_other_conditions_are_worlds_or_pictures_that_were_worked_on():
    rng = np.random.default_rng(5)
    drawn = [other_conditions(rng, 0.6) for _ in range(300)]
    worlds = [one for one in drawn if one.world is not None]
    assert len(worlds) / len(drawn) == pytest.approx(WORLDS, abs=0.1)
    assert len({one.world.country for one in worlds if one.world}) == len(worlds)
    worked = [one for one in drawn if one.curve or one.speckle or one.enlarged > 1 or one.clipped != 0.01]
    assert sum(one.world is None for one in worked) > 0.8 * (len(drawn) - len(worlds))
    assert all(one.world is None and one.enlarged == 1.0 for one in (draw_conditions(rng, 0.6) for _ in range(50)))


def test_an_enlarged_picture_has_lost_its_detail():
    paints = ((0.05,) * 6, (0.6,) * 6)
    sharp, soft = (scene(replace(FLAT, paints=paints), replace(CLEAR, enlarged=factor)) for factor in (1.0, 1.8))
    assert sharp.values.shape == soft.values.shape
    edges = [np.abs(np.diff(one.values[0].astype(float), axis=1)) for one in (sharp, soft)]
    assert np.quantile(edges[1], 0.999) < 0.9 * np.quantile(edges[0], 0.999)
