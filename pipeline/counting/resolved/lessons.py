"""Simulated scenes as lessons: features with their true answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Point

from pipeline.counting.resolved.features import (
    boundary_features,
    kind_features,
    lateral_features,
    occupied_features,
)
from pipeline.counting.resolved.strips import STEP_M, Strip, frame, normalise, unroll
from pipeline.model import Grid, RailcarKind, Track
from pipeline.simulate.fine import FineScene, fine_look, render_fine
from pipeline.simulate.fine_conditions import Conditions, draw_conditions
from pipeline.simulate.kinds import COUPLING_GAP_M, KINDS
from pipeline.simulate.yard import PlacedCar, Shape, make_tracks, place_cars

KIND_ORDER = tuple(sorted(KINDS, key=str))  # classes of the kind classifier, in its order
Floats = NDArray[np.float32]


def draw_scene(rng: np.random.Generator, gsd_m: float, conditions: Conditions | None = None) -> FineScene:
    """Draw a small yard of any shape, cars on it or none, and the conditions under which it is seen."""
    shapes: tuple[Shape, ...] = ("parallel", "curved", "ladder")
    shape = shapes[int(rng.integers(3))]
    count = 1 if rng.random() < 0.1 else int(rng.integers(2, 8))
    spacing = float(rng.uniform(4.4, 6.5))
    length = float(rng.uniform(120, 320)) + (16 * count * spacing / 2 if shape == "ladder" else 0)
    tracks = make_tracks(
        shape,
        tracks=count,
        length_m=length,
        centre=(500_000.0, 4_700_000.0),
        spacing_m=spacing,
        azimuth_deg=float(rng.uniform(0, 180)),
        radius_m=float(rng.uniform(300, 1500)),
    )
    c = conditions or draw_conditions(rng, gsd_m)
    fill = 0.0 if rng.random() < 0.12 else float(rng.uniform(0.03, 0.85))
    wanted = int(fill * count * max(length - 60, 20) / 15)
    weights = {kind: float(model.share + 0.08) for kind, model in KINDS.items()}
    shares = weights if rng.random() < 0.6 else None
    cars: tuple[PlacedCar, ...] = ()
    while wanted:
        try:
            cars = place_cars(
                tracks,
                wanted,
                rng,
                shares=shares,
                mean_rake=float(rng.uniform(1.5, 14)),
                loose_share=float(rng.uniform(0, 0.25)),
                unseen_colours=c.unseen_colours,
                end_margin_m=float(rng.uniform(2, 30)),
                coupling_m=float(rng.choice([COUPLING_GAP_M, rng.uniform(0.75, 1.7)])),
                width_factor=float(rng.choice([1.0, rng.uniform(0.93, 1.07)])),
                any_length=bool(rng.random() < 0.35),
            )
            break
        except ValueError:
            wanted = int(wanted * 0.7)
    scene = render_fine(tracks, cars, c, rng)
    return _cropped(scene, rng) if rng.random() < 0.3 else scene


def _cropped(scene: FineScene, rng: np.random.Generator) -> FineScene:
    """Cut the ends off an image, so that tracks and trains run out of it as in most real ones."""
    width = scene.grid.width
    c0, c1 = int(rng.uniform(0.08, 0.3) * width), int(rng.uniform(0.7, 0.92) * width)
    a, b, c, d, e, f = scene.grid.transform
    grid = Grid(scene.grid.crs, (a, b, c + a * c0, d, e, f + d * c0), c1 - c0, scene.grid.height)
    return replace(scene, grid=grid, values=scene.values[:, :, c0:c1])


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Samples of one scene for each classifier."""

    lateral_x: Floats
    lateral_y: Floats  # metres that the rails lie to the left of the sampled line
    occupied_x: Floats
    occupied_y: NDArray[np.bool_]
    boundary_x: Floats
    boundary_y: NDArray[np.bool_]
    kind_x: Floats
    kind_y: NDArray[np.int_]  # index into KIND_ORDER


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


def labels(strip: Strip, spans: Sequence[tuple[float, float, RailcarKind]]) -> tuple[NDArray[np.bool_], Floats]:
    """Return, for each station, whether a car stands there and the distance to the nearest car end, metres."""
    s = strip.stations
    inside = np.zeros(len(s), dtype=bool)
    away = np.full(len(s), 99.0, dtype=np.float32)
    for start, end, _ in spans:
        inside |= (s >= start) & (s <= end)
        away = np.minimum(away, np.minimum(np.abs(s - start), np.abs(s - end))).astype(np.float32)
    return inside, away


def make_lesson(scene: FineScene, rng: np.random.Generator, *, samples: int) -> Lesson:
    """Turn a scene into samples for each classifier.

    Parameters
    ----------
    scene : FineScene
    rng : numpy.random.Generator
    samples : int
        At most so many stations of the scene for each classifier.
    """
    look = fine_look(scene)
    rails = {track.track_id: track.line for track in scene.rails}
    wrong: dict[str, NDArray[np.float64]] = {}
    right: dict[str, NDArray[np.float64]] = {}
    for track in scene.site.tracks:
        stations = np.arange(STEP_M / 2, track.line.length, STEP_M)
        truth = np.zeros(len(stations))
        if track.track_id in rails:
            truth = true_offsets(track, rails[track.track_id], stations)
        wrong[track.track_id] = truth + float(rng.uniform(-2, 2))
        right[track.track_id] = truth + float(rng.normal(0, 0.2))
    lateral = _lateral(scene, normalise(unroll(look, scene.site.tracks, wrong), look.bands, look.grid.gsd_m)[0], rng)
    tones, common = normalise(unroll(look, scene.site.tracks, right), look.bands, look.grid.gsd_m)
    occupied_x, occupied_y, boundary_x, boundary_y, kind_x, kind_y = [], [], [], [], [], []
    per_track = max(samples // max(len(tones), 1), 8)
    for tone in tones:
        spans = car_spans(scene.cars, tone.strip.track)
        inside, away = labels(tone.strip, spans)
        seen = np.flatnonzero(tone.strip.covered() & ((away > 0.3) | ~inside))
        pick = rng.choice(seen, min(per_track, len(seen)), replace=False)
        occupied_x.append(occupied_features(tone, common)[pick])
        occupied_y.append(inside[pick])
        near = np.flatnonzero((away <= 0.5) & tone.strip.covered())
        other = np.flatnonzero((away > 0.8) & tone.strip.covered())
        pick = np.concatenate(
            [
                rng.choice(near, min(per_track // 2, len(near)), replace=False),
                rng.choice(other, min(per_track, len(other)), replace=False),
            ]
        )
        boundary_x.append(boundary_features(tone, common)[pick])
        boundary_y.append(away[pick] <= 0.5)
        for start, end, kind in spans:
            if start > 1 and end < tone.strip.stations[-1] - 1:
                a, b = start + rng.normal(0, 0.25), end + rng.normal(0, 0.25)
                kind_x.append(kind_features(tone, common, a, b))
                kind_y.append(KIND_ORDER.index(kind))
    width = len(kind_x[0]) if kind_x else 0
    return Lesson(
        *lateral,
        np.concatenate(occupied_x),
        np.concatenate(occupied_y),
        np.concatenate(boundary_x),
        np.concatenate(boundary_y),
        np.array(kind_x, dtype=np.float32).reshape(-1, width) if width else np.zeros((0, 0), np.float32),
        np.array(kind_y, dtype=np.int64),
    )


def _lateral(scene: FineScene, tones: Sequence[object], rng: np.random.Generator) -> tuple[Floats, Floats]:
    rails = {track.track_id: track.line for track in scene.rails}
    xs, ys = [], []
    for tone in tones:
        strip: Strip = tone.strip  # type: ignore[attr-defined]
        if strip.track.track_id not in rails:
            continue
        truth = true_offsets(strip.track, rails[strip.track.track_id], strip.stations) - strip.offsets
        seen = np.flatnonzero(strip.covered())
        pick = rng.choice(seen, min(60, len(seen)), replace=False)
        xs.append(lateral_features(tone)[pick])  # type: ignore[arg-type]
        ys.append(truth[pick].astype(np.float32))
    return np.concatenate(xs), np.concatenate(ys)
