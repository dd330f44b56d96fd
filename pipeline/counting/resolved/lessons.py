"""Simulated scenes as lessons: features with their true answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Point

from pipeline.counting.resolved.features import (
    kind_features,
    occupied_features,
)
from pipeline.counting.resolved.rails import CENTRED_M, centred_features, find_rails
from pipeline.counting.resolved.see import judge_tones
from pipeline.counting.resolved.strips import STEP_M, Strip, frame, normalise, unroll
from pipeline.counting.resolved.trees import Trees
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
    count = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.12, 0.18, 0.25, 0.2, 0.15, 0.1]))
    spacing = float(rng.uniform(4.4, 6.5))
    length = float(rng.uniform(110, 230)) + (12 * count * spacing / 2 if shape == "ladder" else 0)
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
class RailLesson:
    """Samples of one scene for the classifier of the rails' place."""

    centred_x: Floats
    centred_y: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class FirstLesson:
    """Samples of one scene for occupied track at first sight."""

    first_x: Floats
    first_y: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SecondLesson:
    """Samples of one scene, seen through the first look's classifiers, for those of the second."""

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


def first_lesson(scene: FineScene, rng: np.random.Generator, *, samples: int) -> FirstLesson:
    """Turn a scene into samples for the first look.

    Parameters
    ----------
    scene : FineScene
    rng : numpy.random.Generator
    samples : int
        At most so many stations of the scene.
    """
    look = fine_look(scene)
    right = {name: offsets + float(rng.normal(0, 0.25)) for name, offsets in _truth(scene).items()}
    tones, common = normalise(unroll(look, scene.site.tracks, right), look.bands, look.grid.gsd_m)
    xs, ys = [], []
    for tone in tones:
        inside, away = labels(tone.strip, car_spans(scene.cars, tone.strip.track))
        pick = _some(tone.strip.covered() & ((away > 0.3) | ~inside), max(samples // len(tones), 8), rng)
        xs.append(occupied_features(tone, common)[pick])
        ys.append(inside[pick])
    return FirstLesson(np.concatenate(xs), np.concatenate(ys))


def second_lesson(
    scene: FineScene, rng: np.random.Generator, centred: Trees, first: Trees, *, samples: int
) -> SecondLesson | None:
    """Turn a scene that the first look was not taught on into samples for the second; None when it shows nothing."""
    look = fine_look(scene)
    shifts = find_rails(look, scene.site.tracks, centred)
    strips = unroll(look, scene.site.tracks, shifts)
    if not strips:
        return None
    tones, common = normalise(strips, look.bands, look.grid.gsd_m)
    occupied_x, occupied_y, boundary_x, boundary_y, kind_x, kind_y = [], [], [], [], [], []
    per_track = max(samples // len(tones), 8)
    for tone, occupied, ends in judge_tones(tones, common, first):
        spans = car_spans(scene.cars, tone.strip.track)
        inside, away = labels(tone.strip, spans)
        covered = tone.strip.covered()
        pick = _some(covered & ((away > 0.3) | ~inside), per_track, rng)
        occupied_x.append(occupied[pick])
        occupied_y.append(inside[pick])
        near, other = covered & (away <= 0.5), covered & (away > 0.8)
        pick = np.concatenate([_some(near, per_track // 2, rng), _some(other, per_track, rng)])
        boundary_x.append(ends[pick])
        boundary_y.append(away[pick] <= 0.5)
        if scene.conditions.plain_cars:
            continue
        for start, end, kind in spans:
            if start > 1 and end < tone.strip.stations[-1] - 1:
                a, b = start + rng.normal(0, 0.25), end + rng.normal(0, 0.25)
                kind_x.append(kind_features(tone, common, a, b))
                kind_y.append(KIND_ORDER.index(kind))
    width = len(kind_x[0]) if kind_x else 0
    return SecondLesson(
        np.concatenate(occupied_x),
        np.concatenate(occupied_y),
        np.concatenate(boundary_x),
        np.concatenate(boundary_y),
        np.array(kind_x, dtype=np.float32).reshape(-1, width) if width else np.zeros((0, 0), np.float32),
        np.array(kind_y, dtype=np.int64),
    )


def _some(where: NDArray[np.bool_], number: int, rng: np.random.Generator) -> NDArray[np.int_]:
    index = np.flatnonzero(where)
    return rng.choice(index, min(number, len(index)), replace=False)


def _truth(scene: FineScene) -> dict[str, NDArray[np.float64]]:
    rails = {track.track_id: track.line for track in scene.rails}
    truth = {}
    for track in scene.site.tracks:
        stations = np.arange(STEP_M / 2, track.line.length, STEP_M)
        real = rails.get(track.track_id)
        truth[track.track_id] = np.zeros(len(stations)) if real is None else true_offsets(track, real, stations)
    return truth


def rail_lesson(scene: FineScene, rng: np.random.Generator) -> RailLesson:
    """Sample stations of the real tracks at lateral shifts, a third of them nearly right."""
    look = fine_look(scene)
    truth = _truth(scene)
    rails = [track for track in scene.site.tracks if track.track_id in {rail.track_id for rail in scene.rails}]
    xs, ys = [], []
    for widest in (CENTRED_M, 2.4, 2.4):
        wrong = {track.track_id: float(rng.uniform(-widest, widest)) for track in rails}
        shifts = {name: truth[name] + error for name, error in wrong.items()}
        for tone in normalise(unroll(look, rails, shifts), look.bands, look.grid.gsd_m)[0]:
            pick = _some(tone.strip.covered(), 25, rng)
            xs.append(centred_features(tone, pick))
            ys.append(np.full(len(pick), abs(wrong[tone.strip.track.track_id]) <= CENTRED_M))
    return RailLesson(np.concatenate(xs), np.concatenate(ys))
