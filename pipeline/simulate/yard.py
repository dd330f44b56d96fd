"""The geometry of a simulated yard, and a known number of railcars placed on it in rakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon
from shapely.ops import unary_union
from shapely.strtree import STRtree

from pipeline.model import Railcar, RailcarKind, Site, Track
from pipeline.simulate.kinds import (
    COUPLING_GAP_M,
    KINDS,
    draw_colour,
    draw_fleet_length,
    draw_kind,
    draw_length,
)

FOULING_M = 3.9  # where two centre lines are nearer than this, a car on one would foul the other
Shape = Literal["parallel", "curved", "ladder"]


@dataclass(frozen=True, slots=True, eq=False)
class PlacedCar:
    """One simulated railcar: what the truth says, and what a renderer needs."""

    railcar: Railcar  # polygon is the body's footprint at rail level; length_m is over couplers; score 1
    colour: NDArray[np.float64]  # (6,) reflectance of the upper side, order of `kinds.BANDS`
    height_m: float
    body_m: float  # length of the body
    width_m: float
    heading_rad: float  # direction of the track at the car's middle, anticlockwise from east
    centre: tuple[float, float]  # of the footprint, metres in the tracks' CRS
    loaded: bool  # ore cars: with a load; flat cars: with containers


@dataclass(frozen=True, slots=True)
class Occupancy:
    """The truth of a simulated yard in numbers."""

    railcars: int
    occupied_m: float  # track metres under cars, over couplers
    by_track: Mapping[str, int]
    by_kind: Mapping[str, int]


def make_tracks(
    shape: Shape,
    *,
    tracks: int,
    length_m: float,
    centre: tuple[float, float],
    spacing_m: float = 5.0,
    azimuth_deg: float = 90.0,
    radius_m: float = 700.0,
    prefix: str = "yard",
) -> tuple[Track, ...]:
    """Return the centre lines of a yard.

    Parameters
    ----------
    shape : {"parallel", "curved", "ladder"}
        Straight parallels; concentric arcs; or parallels that run together through ladder throats at both ends.
    tracks : int
        Number of tracks, at least 1.
    length_m : float
        Length of the middle track from end to end.
    centre : (float, float)
        Middle of the yard, metres in a projected CRS.
    spacing_m : float
        Between neighbouring centre lines where they run parallel.
    azimuth_deg : float
        Direction of the tracks, clockwise from north.
    radius_m : float
        Of the middle track, for `curved`.
    prefix : str
        Of the track ids, which are numbered from 01.

    Raises
    ------
    ValueError
        When there is no track or the length is not positive.
    """
    if tracks < 1 or length_m <= 0:
        raise ValueError(f"a yard needs at least one track and a positive length, got {tracks} and {length_m}")
    x = np.linspace(-length_m / 2, length_m / 2, max(int(length_m / 5.0), 2) + 1)
    azimuth = np.deg2rad(azimuth_deg)
    along = np.array([np.sin(azimuth), np.cos(azimuth)])
    across = np.array([-along[1], along[0]])
    made: list[Track] = []
    for index in range(tracks):
        offset = (index - (tracks - 1) / 2) * spacing_m
        if shape == "curved":
            radius = radius_m - offset
            angle = x / radius_m
            local = np.stack([radius * np.sin(angle), radius_m - radius * np.cos(angle)], axis=1)
        elif shape == "ladder":
            # A ladder leaves the lead at 1 in 9; the reverse curve is a smooth step in the lateral offset.
            throat = 9.0 * abs(offset) + 25.0
            inside = np.clip((length_m / 2 - np.abs(x)) / throat, 0.0, 1.0)
            local = np.stack([x, offset * inside**2 * (3 - 2 * inside)], axis=1)
        else:
            local = np.stack([x, np.full_like(x, offset)], axis=1)
        points = np.asarray(centre) + local[:, :1] * along + local[:, 1:] * across
        name = f"{prefix}{index + 1:02d}"
        made.append(
            Track(name, f"{prefix.capitalize()} track {index + 1}", LineString(points), "yard", provisional=False)
        )
    return tuple(made)


def make_site(tracks: Sequence[Track], crs: str, *, margin_m: float = 60.0, name: str = "simulated") -> Site:
    """Return a site whose area is the tracks' surroundings within `margin_m`."""
    area = unary_union([track.line for track in tracks]).buffer(margin_m).convex_hull
    if not isinstance(area, Polygon):
        raise ValueError("the tracks enclose no area; give a positive margin")
    return Site(name, f"Simulated yard {name} (not a real place)", crs, area, tuple(tracks))


def usable_intervals(
    tracks: Sequence[Track], *, end_margin_m: float = 20.0, step_m: float = 2.0
) -> dict[str, list[tuple[float, float]]]:
    """Return, for each track id, the stretches in metres along it where a car fouls no other track."""
    lines = tuple(track.line for track in tracks)
    spans = _free_spans(lines, end_margin_m, step_m)
    return {track.track_id: list(free) for track, free in zip(tracks, spans, strict=True)}


@lru_cache(maxsize=64)
def _free_spans(
    lines: tuple[LineString, ...], end_margin_m: float, step_m: float
) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return the stretches of each line on which a car fouls no other line; kept, since each look asks anew."""
    tree = STRtree(lines)
    free: list[tuple[tuple[float, float], ...]] = []
    for index, line in enumerate(lines):
        stations = np.arange(end_margin_m, line.length - end_margin_m + 1e-9, step_m)
        points = shapely.line_interpolate_point(line, stations)
        at, near = tree.query(points, predicate="dwithin", distance=FOULING_M)
        clear = np.ones(len(stations), dtype=bool)
        clear[at[near != index]] = False
        edges = np.flatnonzero(np.diff(np.concatenate([[False], clear, [False]]).astype(np.int8)))
        free.append(
            tuple((float(stations[a]), float(stations[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True))
        )
    return tuple(free)


def place_cars(
    tracks: Sequence[Track],
    railcars: int,
    rng: np.random.Generator,
    *,
    shares: Mapping[RailcarKind, float] | None = None,
    mean_rake: float = 10.0,
    loose_share: float = 0.08,
    unseen_colours: bool = False,
    end_margin_m: float = 20.0,
    coupling_m: float = COUPLING_GAP_M,
    width_factor: float = 1.0,
    any_length: bool = False,
) -> tuple[PlacedCar, ...]:
    """Place exactly `railcars` cars on the tracks, in rakes of mostly one kind.

    Parameters
    ----------
    tracks : sequence of Track
        In a projected CRS, metres.
    railcars : int
        How many; 0 is an empty yard.
    rng : numpy.random.Generator
        The only source of chance.
    shares : mapping, optional
        Weights of the kinds instead of those of a mixed freight yard.
    mean_rake : float
        Mean number of cars coupled together.
    loose_share : float
        Share of couplings inside a rake that stand open by 0.5 to 8 m.
    unseen_colours : bool
        Paint cars in any colour instead of the typical ones.
    end_margin_m : float
        Kept free at both ends of each track.
    coupling_m : float
        Between the bodies of two coupled cars.
    width_factor : float
        On the widths of the bodies.
    any_length : bool
        Draw lengths from the mixture of a whole fleet, whatever the kind.

    Returns
    -------
    tuple of PlacedCar
        Sorted by track id and position along the track.

    Raises
    ------
    ValueError
        When the tracks cannot hold so many cars.
    """
    free = usable_intervals(tracks, end_margin_m=end_margin_m)
    lines = {track.track_id: track for track in tracks}
    cars: list[PlacedCar] = []
    waiting = railcars
    misses = 0
    while waiting:
        size = min(waiting, 1 + int(rng.geometric(1.0 / mean_rake)) if misses < 40 else 1)
        drawn = _draw_rake(size, rng, shares, any_length=any_length)
        gaps = np.where(rng.random(size) < loose_share, rng.uniform(0.5, 8.0, size), 0.0)
        total = sum(length for _, length in drawn) + float(gaps.sum())
        room = [(name, a, b) for name, spans in sorted(free.items()) for a, b in spans if b - a >= total]
        if not room:
            misses += 1
            if misses > 120:
                raise ValueError(f"the tracks hold only {len(cars)} of {railcars} railcars; make them longer")
            continue
        name, a, b = room[int(rng.integers(len(room)))]
        start = float(rng.uniform(a, b - total)) if misses < 40 else a
        position = start
        for (kind, length), gap in zip(drawn, gaps, strict=True):
            body, width = length - coupling_m, KINDS[kind].width_m * width_factor
            cars.append(
                _make_car(lines[name], position + length / 2, kind, (length, body, width), rng, unseen_colours)
            )
            position += length + float(gap)
        spans = free[name]
        spans.remove((a, b))
        spans += [span for span in ((a, start - 3.0), (start + total + 3.0, b)) if span[1] - span[0] > 12.0]
        waiting -= size
    return tuple(sorted(cars, key=lambda car: (car.railcar.track_id, car.railcar.position_m)))


def occupancy(cars: Sequence[PlacedCar]) -> Occupancy:
    """Return the truth of a yard in numbers."""
    by_track: dict[str, int] = {}
    by_kind: dict[str, int] = {}
    for car in cars:
        by_track[car.railcar.track_id] = by_track.get(car.railcar.track_id, 0) + 1
        by_kind[car.railcar.kind.value] = by_kind.get(car.railcar.kind.value, 0) + 1
    return Occupancy(len(cars), float(sum(car.railcar.length_m for car in cars)), by_track, by_kind)


def box_polygon(centre: tuple[float, float], heading_rad: float, length_m: float, width_m: float) -> Polygon:
    """Return a rectangle of `length_m` along `heading_rad` (anticlockwise from east) by `width_m`, metres."""
    u = np.array([np.cos(heading_rad), np.sin(heading_rad)]) * length_m / 2
    v = np.array([-np.sin(heading_rad), np.cos(heading_rad)]) * width_m / 2
    c = np.asarray(centre)
    return Polygon([c - u - v, c + u - v, c + u + v, c - u + v])


def _draw_rake(
    size: int, rng: np.random.Generator, shares: Mapping[RailcarKind, float] | None, *, any_length: bool
) -> list[tuple[RailcarKind, float]]:
    """Draw kinds and lengths of a rake: runs of one kind, as trains are made up."""
    weights = dict(shares) if shares is not None else None
    kind = draw_kind(rng, shares=weights)
    rake: list[tuple[RailcarKind, float]] = []
    for _ in range(size):
        if rng.random() < 0.15 or (kind is RailcarKind.LOCOMOTIVE and rng.random() < 0.7):
            kind = draw_kind(rng, shares=weights)
        rake.append((kind, draw_fleet_length(rng) if any_length else draw_length(kind, rng)))
    return rake


def _make_car(
    track: Track,
    position_m: float,
    kind: RailcarKind,
    size_m: tuple[float, float, float],
    rng: np.random.Generator,
    unseen: bool,
) -> PlacedCar:
    model = KINDS[kind]
    length_m, body_m, width_m = size_m
    # A car's ends ride on the line; its middle lies on the chord.
    ends = [track.line.interpolate(position_m + d) for d in (-length_m * 0.35, length_m * 0.35)]
    heading = float(np.arctan2(ends[1].y - ends[0].y, ends[1].x - ends[0].x))
    centre = ((ends[0].x + ends[1].x) / 2, (ends[0].y + ends[1].y) / 2)
    body = body_m + float(rng.normal(0, 0.08))
    width = width_m + float(rng.normal(0, 0.05))
    loaded = bool(rng.random() < (0.6 if kind is RailcarKind.ORE else 0.35))
    polygon = box_polygon(centre, heading, body, width)
    railcar = Railcar(polygon, track.track_id, position_m, length_m, kind, 1.0)
    colour = draw_colour(kind, rng, unseen=unseen)
    return PlacedCar(railcar, colour, model.height_m, body, width, heading, centre, loaded)
