"""Simulated scenes as lessons: unrolled tracks with what truly stands on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Point

from pipeline.counting.resolved.inputs import Sun, look_figures, planes, sun_along, sun_of
from pipeline.counting.resolved.network import KIND_ORDER
from pipeline.counting.resolved.places import SHIFTS
from pipeline.counting.resolved.strips import CENTRE, STEP_M, Strip, frame, normalise, unroll
from pipeline.model import Grid, RailcarKind, Track
from pipeline.simulate.fine import FineScene, fine_look, render_views
from pipeline.simulate.fine_conditions import Conditions
from pipeline.simulate.fine_worlds import world_cars
from pipeline.simulate.kinds import COUPLING_GAP_M, KINDS
from pipeline.simulate.yard import PlacedCar, Shape, make_tracks, place_cars

SPARE = SHIFTS + 1  # columns to either side that a lesson holds beyond a strip, so that training can shift it
WIDE_M: NDArray[np.float64] = STEP_M * np.arange(-CENTRE - SPARE, CENTRE + SPARE + 1, dtype=np.float64)
END_DOUBT_M = 0.3  # around a car's end, in which standing under a car is not asked

WIDTHS = ((0.93, 1.07), (0.87, 1.12))  # of cars over those of their kinds: in our yards, in simplified worlds

Floats = NDArray[np.float32]
Draw = Callable[[np.random.Generator, float], Conditions]


def draw_yard(
    rng: np.random.Generator, conditions: Conditions, *, large: bool
) -> tuple[tuple[Track, ...], tuple[PlacedCar, ...]]:
    """Draw a yard of any shape and the cars on it, or none."""
    shapes: tuple[Shape, ...] = ("parallel", "curved", "ladder")
    shape = shapes[int(rng.integers(3))]
    count = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.12, 0.18, 0.25, 0.2, 0.15, 0.1]))
    longest = 230.0
    if large:
        count, longest = int(rng.integers(3, 9)), 420.0
    spacing = float(rng.choice([rng.uniform(4.4, 6.6), rng.uniform(4.5, 9.0)], p=[0.85, 0.15]))
    length = float(rng.uniform(110, longest)) + (12 * count * spacing / 2 if shape == "ladder" else 0)
    tracks = make_tracks(
        shape,
        tracks=count,
        length_m=length,
        centre=(500_000.0, 4_700_000.0),
        spacing_m=spacing,
        azimuth_deg=float(rng.uniform(0, 180)),
        radius_m=float(rng.uniform(300, 1500)),
    )
    c = conditions
    draw = rng.random()
    empty = 0.15 if c.world is not None else 0.08  # of the yards
    fill = 0.0 if draw < empty else float(rng.uniform(0.03, 0.3) if draw < 0.35 else rng.uniform(0.3, 0.97))
    wanted = int(fill * count * max(length - 40, 20) / 14.5)
    weights = {kind: float(model.share + 0.08) for kind, model in KINDS.items()}
    shares = weights if rng.random() < 0.6 else None
    if rng.random() < 0.15:  # a yard of one kind, as when ore or coal is shipped
        one = list(KINDS)[int(rng.integers(len(KINDS)))] if rng.random() < 0.5 else RailcarKind.ORE
        shares = {one: 1.0}
    coupling = float(rng.choice([COUPLING_GAP_M, rng.uniform(0.75, 1.7)]))
    while wanted:
        try:
            cars = place_cars(
                tracks,
                wanted,
                rng,
                shares=shares,
                mean_rake=float(rng.uniform(1.5, 16)),
                loose_share=float(rng.uniform(0, 0.25)),
                unseen_colours=c.unseen_colours,
                end_margin_m=float(rng.uniform(2, 30)),
                coupling_m=coupling if c.world is None else float(rng.uniform(0.6, 2.0)),
                width_factor=float(rng.choice([1.0, rng.uniform(*WIDTHS[c.world is not None])])),
                any_length=bool(rng.random() < 0.35),
            )
        except ValueError:
            wanted = int(wanted * 0.8)
            continue
        if c.world is not None:
            return tracks, world_cars(cars, c.world, rng)
        return tracks, _painted(cars, rng) if c.any_albedo else cars
    return tracks, ()


def _painted(cars: Sequence[PlacedCar], rng: np.random.Generator) -> tuple[PlacedCar, ...]:
    """Paint a fleet anew: 1 to 5 paints of any brightness, nearly grey or of a strong colour."""
    paints = []
    for _ in range(int(rng.integers(1, 6))):
        level = float(np.exp(rng.uniform(np.log(0.03), np.log(0.8))))
        tint = rng.normal(0, float(rng.choice([0.05, 0.4])), 6)
        paints.append(np.clip(level * np.exp(tint), 0.02, 0.95))
    own = float(rng.choice([0.0, 0.15]))
    return tuple(
        replace(car, colour=np.clip(paints[int(rng.integers(len(paints)))] * rng.lognormal(0, own), 0.02, 0.95))
        for car in cars
    )


def draw_scenes(
    rng: np.random.Generator, samplings_m: Sequence[float], draw: Draw, *, large: bool
) -> list[FineScene]:
    """Draw a yard and see it with a sensor of each sampling.

    Parameters
    ----------
    rng : numpy.random.Generator
    samplings_m : sequence of float
        Ground samplings; all but the first are rounded, see `render_views`.
    draw : callable
        Draws the conditions of a sensor of given sampling.
    large : bool
        Three to eight tracks of up to 420 m instead of one to six of up to 230 m.
    """
    views = [draw(rng, gsd_m) for gsd_m in samplings_m]
    tracks, cars = draw_yard(rng, views[0], large=large)
    scenes = render_views(tracks, cars, views, rng)
    return [_cropped(scene, rng) if rng.random() < 0.25 else scene for scene in scenes]


def _cropped(scene: FineScene, rng: np.random.Generator) -> FineScene:
    """Cut the ends off an image, so that tracks and trains run out of it as in most real ones."""
    width = scene.grid.width
    c0, c1 = int(rng.uniform(0.08, 0.3) * width), int(rng.uniform(0.7, 0.92) * width)
    a, b, c, d, e, f = scene.grid.transform
    grid = Grid(scene.grid.crs, (a, b, c + a * c0, d, e, f + d * c0), c1 - c0, scene.grid.height)
    return replace(scene, grid=grid, values=scene.values[:, :, c0:c1])


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One track of a lesson, from the line as it is shifted below."""

    values: NDArray[np.float16]  # (stations, columns, 3), wider than a strip by `SPARE` on either side
    seen: NDArray[np.bool_]  # (stations, columns)
    sun: Floats  # (stations, 4)
    rails_m: Floats  # (stations,) where the rails lie, metres to the left of the strip's middle
    real: bool  # there are rails
    covered: NDArray[np.bool_]  # (stations,)
    inside: NDArray[np.bool_]  # (stations,) under a car
    away: Floats  # (stations,) to the nearest car end, metres
    kind: NDArray[np.int8]  # (stations,) of the car, index into KIND_ORDER; -1 none or not to be learnt


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """One look with its truth."""

    rows: tuple[Row, ...]
    told: Floats  # see `inputs.look_figures`


def true_offsets(drawn: Track, rails: LineString, stations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the rails lie to the left of a drawn track at its stations, (n,) metres."""
    points, left = frame(drawn, stations)
    where = shapely.line_locate_point(rails, shapely.points(points))
    nearest = shapely.get_coordinates(shapely.line_interpolate_point(rails, where))
    return np.asarray(((nearest - points) * left).sum(axis=1))


def car_spans(cars: Sequence[PlacedCar], drawn: Track) -> list[tuple[float, float, RailcarKind]]:
    """Return (start, end, kind) of the true cars in metres along a drawn track."""
    spans = []
    for car in cars:
        if car.railcar.track_id == drawn.track_id:
            middle = drawn.line.project(Point(car.centre))
            half = car.railcar.length_m / 2
            spans.append((middle - half, middle + half, car.railcar.kind))
    return spans


def labels(
    strip: Strip, spans: Sequence[tuple[float, float, RailcarKind]]
) -> tuple[NDArray[np.bool_], Floats, NDArray[np.int8]]:
    """Return for each station whether a car stands there, metres to the nearest car end, and the car's kind or -1."""
    s = strip.stations
    inside = np.zeros(len(s), dtype=bool)
    away = np.full(len(s), 99.0, dtype=np.float32)
    kinds = np.full(len(s), -1, dtype=np.int8)
    for start, end, kind in spans:
        under = (s >= start) & (s <= end)
        inside |= under
        kinds[under] = KIND_ORDER.index(kind)
        away = np.minimum(away, np.minimum(np.abs(s - start), np.abs(s - end))).astype(np.float32)
    return inside, away, kinds


def lesson(scene: FineScene, rng: np.random.Generator) -> Lesson | None:
    """Unroll a scene along lines that lie within a quarter of a metre of its rails; None when it shows none."""
    look = fine_look(scene)
    rails = {track.track_id: track.line for track in scene.rails}
    shifts, where = {}, {}
    for track in scene.site.tracks:
        stations = np.arange(STEP_M / 2, track.line.length, STEP_M)
        real = rails.get(track.track_id)
        truth = np.zeros(len(stations)) if real is None else true_offsets(track, real, stations)
        bend = np.interp(stations, np.linspace(0, track.line.length, 5), rng.normal(0, 0.12, 5))
        off = float(rng.uniform(-0.25, 0.25)) + bend
        shifts[track.track_id] = truth + off
        where[track.track_id] = -off
    strips = unroll(look, scene.site.tracks, shifts, WIDE_M)
    if not strips:
        return None
    try:
        tones, common = normalise(strips, look.bands, look.grid.gsd_m)
    except ValueError:
        return None
    sun: Sun | None = sun_of(look.scene)
    rows = []
    for tone in tones:
        strip = tone.strip
        values, seen = planes(tone)
        inside, away, kinds = labels(strip, car_spans(scene.cars, strip.track))
        if scene.conditions.plain_cars or scene.conditions.world is not None:
            kinds[:] = -1
        name = strip.track.track_id
        rows.append(
            Row(
                values.astype(np.float16),
                seen,
                sun_along(tone, sun),
                where[name].astype(np.float32),
                name in rails,
                strip.covered(),
                inside,
                away,
                kinds,
            )
        )
    told = look_figures(common, coloured=tones[0].red_blue is not None)
    return Lesson(tuple(rows), told)
